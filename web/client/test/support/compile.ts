import { dirname, resolve } from "node:path";
import ts from "typescript";

const root = resolve(import.meta.dirname, "../..");

/**
 * What the compiler says of files that exist nowhere, or not like this: `files`
 * by path in the package, in place of what is on disk.
 */
export function compile(files: Record<string, string>, options: ts.CompilerOptions = {}): string[] {
  const { config } = ts.readConfigFile(resolve(root, "tsconfig.json"), (path) => ts.sys.readFile(path)) as {
    config: object;
  };
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const given = new Map(Object.entries(files).map(([path, text]) => [resolve(root, path), text]));
  const directories = new Set([...given.keys()].map((path) => dirname(path)));
  const all = { ...parsed.options, noEmit: true, ...options };
  const host = ts.createCompilerHost(all);
  const { fileExists, readFile, directoryExists } = host;
  host.fileExists = (path) => given.has(path) || fileExists(path);
  host.readFile = (path) => given.get(path) ?? readFile(path);
  host.directoryExists = (path) => directories.has(path) || (directoryExists?.(path) ?? true);
  host.getSourceFile = (path, language) => {
    const text = host.readFile(path);
    return text === undefined ? undefined : ts.createSourceFile(path, text, language);
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
