import { dirname, resolve } from "node:path";
import ts from "typescript";

const root = resolve(import.meta.dirname, "../..");
/** Parsed once for all: nearly everything is the same each time. */
const parsed = new Map<string, ts.SourceFile | undefined>();

/**
 * What the compiler says of files that exist nowhere, or not like this: `files`
 * by path in the package, in place of what is on disk.
 */
export function compile(files: Record<string, string>, options: ts.CompilerOptions = {}): string[] {
  const { config } = ts.readConfigFile(resolve(root, "tsconfig.json"), (path) => ts.sys.readFile(path)) as {
    config: object;
  };
  const base = ts.parseJsonConfigFileContent(config, ts.sys, root).options;
  const given = new Map(Object.entries(files).map(([path, text]) => [resolve(root, path), text]));
  const directories = new Set([...given.keys()].map((path) => dirname(path)));
  const all = { ...base, noEmit: true, ...options };
  const host = ts.createCompilerHost(all);
  const { fileExists, readFile, directoryExists, getSourceFile } = host;
  host.fileExists = (path) => given.has(path) || fileExists(path);
  host.readFile = (path) => given.get(path) ?? readFile(path);
  host.directoryExists = (path) => directories.has(path) || (directoryExists?.(path) ?? true);
  host.getSourceFile = (path, language) => {
    const text = given.get(path);
    if (text !== undefined) return ts.createSourceFile(path, text, language);
    if (!parsed.has(path)) parsed.set(path, getSourceFile(path, language));
    return parsed.get(path);
  };
  const program = ts.createProgram([...given.keys()], all, host);
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const { file, start = 0, messageText } = diagnostic;
    const line = file
      ? `${file.fileName.slice(root.length + 1)}:${ts.getLineAndCharacterOfPosition(file, start).line + 1}`
      : "";
    return `${line} ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}
