/**
 * Makes the tarballs that are published: `npm run pack -- [directory]` (the working directory unless given). Node strips types of no file below
 * node_modules, so a published package holds JavaScript with its comments and, beside each file, its declarations. The native part of the hot path is a package of its own for each
 * machine, of which this makes that of the one it runs on. Prints the path of each tarball.
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
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import {
  builtAddonFile,
  loadFirstAddon,
  machineName,
  prebuiltMachines,
  prebuiltPackageOf,
  transportVersion,
} from '@alluxio-ts/transport/hotpath-addon';

interface Manifest {
  readonly name: string;
  readonly license: string;
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
    pack(stage);
  }
  packAddon(join(stageDir, 'addon'));
} finally {
  rmSync(stageDir, { recursive: true, force: true });
}

function pack(stage: string): void {
  const text = execFileSync('npm', ['pack', '--silent', '--pack-destination', outDir], {
    cwd: stage,
    encoding: 'utf8',
  });
  console.log(join(outDir, text.trim()));
}

/** Only of what was built of these sources, for a machine that a release is for. */
function packAddon(stage: string): void {
  const machine = prebuiltMachines.find((each) => each === machineName());
  const addon = loadFirstAddon([builtAddonFile]);
  if (!machine || addon.kind === 'missing') {
    console.error(`no package of the addon: ${addon.kind === 'missing' ? addon.reason : machineName()}`);
    return;
  }
  const [os = '', cpu = ''] = machine.split('-');
  const file = basename(builtAddonFile);
  const manifest = {
    name: prebuiltPackageOf(machine),
    version: transportVersion,
    description: `The native part of @alluxio-ts/transport for ${machine}`,
    license: manifestIn(join(root, 'packages', 'transport')).license,
    main: file,
    files: [file],
    os: [os],
    cpu: [cpu],
    libc: ['glibc'],
  };
  mkdirSync(stage);
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  for (const name of ['LICENSE', 'README.md']) cpSync(join(root, name), join(stage, name));
  cpSync(builtAddonFile, join(stage, file));
  pack(stage);
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
  const manifest = manifestIn(packageDir);
  const exports = { './*': { types: './src/*.d.ts', default: './src/*.js' } };
  const staged = { ...manifest, exports, files: ['src', 'bin'], ...optionalPackagesOf(manifest) };
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

/** Whoever installs a command gets the Node that it needs, as in this repository; the transport its native part for the machine. */
function optionalPackagesOf(manifest: Manifest): Pick<Manifest, 'optionalDependencies'> {
  if (manifest.name === '@alluxio-ts/transport') {
    const packages = prebuiltMachines.map((machine) => [prebuiltPackageOf(machine), transportVersion]);
    return { optionalDependencies: Object.fromEntries(packages) as Readonly<Record<string, string>> };
  }
  if (!manifest.bin) return {};
  const { optionalDependencies = {} } = manifestIn(root);
  return { optionalDependencies: { ...manifest.optionalDependencies, ...optionalDependencies } };
}

function manifestIn(dir: string): Manifest {
  return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Manifest;
}
