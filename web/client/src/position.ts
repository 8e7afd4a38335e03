// A position is "<epoch>-<offset>": a place in one lifetime of a workspace's log.

function parse(position: string): [epoch: string, offset: number] {
  const dash = position.lastIndexOf("-");
  return [position.slice(0, dash), Number(position.slice(dash + 1))];
}

/**
 * Whether `a` lies after `b`. Nothing (`null`) is before everything, and a
 * position of another epoch counts as after: history began anew.
 */
export function isAfter(a: string, b: string | null): boolean {
  if (b === null) return true;
  const [epochA, offsetA] = parse(a);
  const [epochB, offsetB] = parse(b);
  return epochA !== epochB || offsetA > offsetB;
}

/** Whether a log that was read at `a` includes all that was there at `b`. */
export function covers(a: string, b: string): boolean {
  return a === b || (parse(a)[0] === parse(b)[0] && isAfter(a, b));
}
