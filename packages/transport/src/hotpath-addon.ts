/**
 * The native half of the hot path as a file: what was built here, else the package for this machine that a release brings. One of another version may say other things than
 * this side understands, and is not used.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export type HotpathAddon =
  /** What it exports is as `hotpath-native.ts` has it, since its version is. */
  | { readonly kind: 'there'; readonly module: object; readonly version: string }
  /** Why none can be used. */
  | { readonly kind: 'missing'; readonly reason: string };

/** Machines that a release has a package for, named as napi-rs does. */
export const prebuiltMachines = ['linux-x64-gnu', 'linux-arm64-gnu'] as const;

/** Where `npm run prepare` puts what it builds. */
export const builtAddonFile = fileURLToPath(new URL('../hotpath/dist/alluxio-hotpath.node', import.meta.url));

const load = createRequire(import.meta.url);

/** Of this package, and so of the addon that it needs. */
export const { version: transportVersion } = load('../package.json') as { readonly version: string };

export function prebuiltPackageOf(machine: string): string {
  return `@alluxio-ts/hotpath-${machine}`;
}

/** `linux-x64-gnu`; without the libc elsewhere. */
export function machineName(): string {
  const { arch, platform } = process;
  return platform === 'linux' ? `${platform}-${arch}-${libcName()}` : `${platform}-${arch}`;
}

function libcName(): 'gnu' | 'musl' {
  const { report } = process;
  // Else it looks up the names of all connections. The types do not know it yet.
  Object.assign(report, { excludeNetwork: true });
  const { header } = report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? 'musl' : 'gnu';
}

let found: HotpathAddon | undefined;

/** The one that this process uses; looked for once. */
export function findHotpathAddon(): HotpathAddon {
  found ??= loadFirstAddon([builtAddonFile, prebuiltPackageOf(machineName())]);
  return found;
}

/** Of these files and packages the first that is there, can be loaded and is of this version. */
export function loadFirstAddon(places: readonly string[], version = transportVersion): HotpathAddon {
  const faults: string[] = [];
  for (const place of places) {
    const loaded = loadAddon(place, version);
    if (loaded === undefined) continue;
    if (typeof loaded !== 'string') return { kind: 'there', module: loaded, version };
    faults.push(loaded);
  }
  if (faults.length === 0) faults.push(`there is neither ${places.join(' nor ')}`);
  return { kind: 'missing', reason: faults.join('; ') };
}

/** What is wrong with it, or undefined when it is not there. */
function loadAddon(place: string, version: string): object | string | undefined {
  if (!isThere(place)) return undefined;
  try {
    const module = load(place) as { readonly version?: () => string };
    // Those of before it was asked for do not say it.
    const said = module.version?.();
    return said === version ? module : `${place} is of version ${said ?? 'unknown'} and not ${version}`;
  } catch (thrown) {
    return `${place} cannot be loaded (${thrown instanceof Error ? thrown.message : String(thrown)})`;
  }
}

function isThere(place: string): boolean {
  if (place.startsWith('/')) return existsSync(place);
  try {
    load.resolve(place);
    return true;
  } catch {
    return false;
  }
}
