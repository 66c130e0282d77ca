/**
 * Makes the tarballs that are published: `npm run pack -- [directory]` (the working directory unless given). Node strips types of no file below
 * node_modules, so a published package holds JavaScript with its comments and, beside each file, its declarations. Prints the path of each tarball.
 */

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

interface Manifest {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const outDir = resolve(process.argv[2] ?? '.');
const stageDir = mkdtempSync(join(tmpdir(), 'alluxio-pack-'));
try {
  mkdirSync(outDir, { recursive: true });
  emitSources(stageDir);
  for (const name of readdirSync(join(root, 'packages'))) {
    const stage = join(stageDir, 'packages', name);
    stageRest(join(root, 'packages', name), stage);
    const text = execFileSync('npm', ['pack', '--silent', '--pack-destination', outDir], {
      cwd: stage,
      encoding: 'utf8',
    });
    console.log(join(outDir, text.trim()));
  }
} finally {
  rmSync(stageDir, { recursive: true, force: true });
}

/** Writes every source as JavaScript and declarations, with the same layout below `packages`. Throws what the compiler finds. */
function emitSources(outDir: string): void {
  const configFile = join(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(configFile, (path) => ts.sys.readFile(path)) as {
    readonly config: object;
  };
  const include = { ...config, include: ['packages/*/src'] };
  const { fileNames, options } = ts.parseJsonConfigFileContent(include, ts.sys, root);
  const program = ts.createProgram(fileNames, {
    ...options,
    noEmit: false,
    declaration: true,
    rewriteRelativeImportExtensions: true,
    rootDir: root,
    outDir,
  });
  const emitted = program.emit(undefined, (path, text) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, path.endsWith('.d.ts') ? withJsSpecifiers(text) : text);
  });
  const problems = [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics];
  if (problems.length > 0) {
    const host = {
      getCanonicalFileName: (name: string) => name,
      getCurrentDirectory: () => root,
      getNewLine: () => '\n',
    };
    throw new Error(ts.formatDiagnostics(problems, host));
  }
}

/** The compiler rewrites specifiers in JavaScript only. */
function withJsSpecifiers(text: string): string {
  return text.replaceAll(/(from |import\()(['"])(\.{1,2}\/[^'"\n]+)\.ts\2/g, '$1$2$3.js$2');
}

function stageRest(packageDir: string, stage: string): void {
  const manifest = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8')) as Manifest;
  const exports = { './*': { types: './src/*.d.ts', default: './src/*.js' } };
  const staged = { ...manifest, exports, files: ['src', 'bin'], ...carriedNodeOf(manifest) };
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(staged, undefined, 2)}\n`);
  for (const name of ['LICENSE', 'README.md']) cpSync(join(root, name), join(stage, name));
  const binDir = join(packageDir, 'bin');
  if (!existsSync(binDir)) return;
  for (const name of readdirSync(binDir)) {
    const text = readFileSync(join(binDir, name), 'utf8');
    mkdirSync(join(stage, 'bin'), { recursive: true });
    writeFileSync(join(stage, 'bin', name), withJsSpecifiers(text), { mode: 0o755 });
  }
}

/** Whoever installs a command gets the Node that it needs, as in this repository. */
function carriedNodeOf(manifest: Manifest): Pick<Manifest, 'optionalDependencies'> {
  if (!manifest.bin) return {};
  const { optionalDependencies = {} } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as Manifest;
  return { optionalDependencies: { ...manifest.optionalDependencies, ...optionalDependencies } };
}
