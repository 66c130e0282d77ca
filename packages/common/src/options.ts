/**
 * Reads the options of a process once, checks them, and gives typed access. The weakest source first: the default, then
 * `alluxio-site.properties`, then the environment (`alluxio.work.dir` is ALLUXIO_WORK_DIR), then `-Dname=value`.
 *
 * A value may be `@file` (that file's text, trimmed) or `env:NAME`, so that a secret need not stand in a file or a
 * command line; otherwise `${name}` in it stands for another option. Every failure is InvalidOptions and names the option,
 * where its value came from, and what it may be; it never shows the value of a secret.
 */

import { dirname, join } from 'node:path';
import { AlluxioError } from './errors.ts';
import { parseOptionValue } from './option-values.ts';
import { type OptionName, type OptionRow, type OptionValue, optionsTable } from './options-table.ts';
import { absolutePath, readBounded, readValueReference } from './value-reference.ts';

export interface OptionSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `name=value`, as given behind -D; of two for one name the last counts. */
  readonly definitions: readonly string[];
  readonly homeDir: string;
  /** Absolute: relative paths of -D and of the environment count from here, those of the file from its directory. */
  readonly workingDir: string;
}

export type OptionSource =
  | { readonly kind: 'DEFAULT' }
  | { readonly kind: 'SITE_PROPERTY'; readonly file: string }
  | { readonly kind: 'ENVIRONMENT'; readonly variable: string }
  | { readonly kind: 'SYSTEM_PROPERTY' };

export interface OptionEntry {
  readonly name: string;
  /** The value as text, paths made absolute; `xxx` for a secret that is set. */
  readonly maskedText: string;
  readonly source: OptionSource;
}

export interface Options {
  get<Name extends OptionName>(name: Name): OptionValue<Name>;
  /** Fails with InvalidOptions and the nearest name when there is no such option. */
  entryOf(name: string): OptionEntry;
  /** All of them, in the order of the table: for printing and for the one log line at start. */
  readonly entries: readonly OptionEntry[];
  /**
   * Sentences about ALLUXIO_… variables and lines of the site file that name no option. They are no failure: Kubernetes sets such
   * variables by itself for every service in the namespace, Alluxio's images set some for their launcher, and a site file may come
   * from an Alluxio cluster, which has many options that have no counterpart here.
   */
  readonly notices: readonly string[];
}

/** A condition between options, with the reason that its failure shows. */
interface Relation {
  readonly names: readonly OptionName[];
  readonly reason: string;
  holds(options: Pick<Options, 'get'>): boolean;
}

const portNames = [
  'alluxio.coordinator.web.port',
  'alluxio.worker.rest.port',
  'alluxio.worker.http.server.port',
  'alluxio.worker.web.port',
] as const satisfies readonly OptionName[];

const relations: readonly Relation[] = [
  {
    names: ['alluxio.worker.page.store.dirs', 'alluxio.worker.page.store.sizes'],
    reason: 'each directory needs its own size: give as many sizes as directories',
    holds: (options) =>
      options.get('alluxio.worker.page.store.dirs').length ===
      options.get('alluxio.worker.page.store.sizes').length,
  },
  {
    names: ['alluxio.worker.page.store.dirs'],
    reason: "two stores in one directory would take each other's space: name each directory once",
    holds: (options) => areDistinct(options.get('alluxio.worker.page.store.dirs')),
  },
  {
    names: [
      'alluxio.worker.page.store.async.eviction.low.watermark',
      'alluxio.worker.page.store.async.eviction.high.watermark',
    ],
    reason: 'room is made from the high watermark down to the low one: make the low one no higher',
    holds: (options) =>
      options.get('alluxio.worker.page.store.async.eviction.low.watermark') <=
      options.get('alluxio.worker.page.store.async.eviction.high.watermark'),
  },
  {
    names: ['alluxio.worker.direct.memory.size', 'alluxio.worker.page.store.page.size'],
    reason:
      'pages are fetched into this memory, and with fewer than 4 at a time most reads would go past the cache: make it at least 4 pages',
    holds: (options) =>
      options.get('alluxio.worker.direct.memory.size') >=
      4 * options.get('alluxio.worker.page.store.page.size'),
  },
  {
    names: portNames,
    reason: 'each of them listens on a port of its own: make them differ (0 takes any free one)',
    holds: (options) => areDistinct(portNames.map((name) => options.get(name)).filter((port) => port !== 0)),
  },
];

export const siteFileName = 'alluxio-site.properties';

/** The site file is read whole, so a wrong path to something huge must not fill the memory. */
const siteFileMaxBytes = 1024 * 1024;

export function loadOptions(sources: OptionSources): Options {
  const environment = readEnvironment(sources);
  const definitions = readDefinitions(sources);
  const site = readSiteFile(sources, new Map([...environment.given, ...definitions]));
  const given = new Map([...site.given, ...environment.given, ...definitions]);
  const resolved = new Map<string, ResolvedOption>();
  for (const row of optionsTable) {
    resolved.set(row.name, resolveOption(row, given, sources));
  }
  const options = accessTo(resolved, [...environment.notices, ...site.notices]);
  for (const relation of relations) {
    if (!relation.holds(options)) throw brokenRelation(relation, options);
  }
  return options;
}

/** `SITE_PROPERTY (/etc/alluxio/alluxio-site.properties)`: the form in which Alluxio prints a source. */
export function formatOptionSource(source: OptionSource): string {
  if (source.kind === 'SITE_PROPERTY') return `${source.kind} (${source.file})`;
  if (source.kind === 'ENVIRONMENT') return `${source.kind} (${source.variable})`;
  return source.kind;
}

export function environmentNameOf(optionName: string): string {
  return optionName.toUpperCase().replaceAll('.', '_');
}

/** A value before it is understood. */
interface GivenValue {
  readonly text: string;
  readonly source: OptionSource;
  /** What relative paths count from. */
  readonly baseDir: string;
}

interface ResolvedOption {
  readonly row: OptionRow;
  readonly value: unknown;
  readonly text: string;
  readonly source: OptionSource;
}

const rowsByName: ReadonlyMap<string, OptionRow> = new Map(optionsTable.map((row) => [row.name, row]));

function readEnvironment(sources: OptionSources): {
  readonly given: ReadonlyMap<string, GivenValue>;
  readonly notices: readonly string[];
} {
  const given = new Map<string, GivenValue>();
  const rowsByVariable = new Map(optionsTable.map((row) => [environmentNameOf(row.name), row]));
  const notices: string[] = [];
  for (const [variable, text] of Object.entries(sources.environment)) {
    if (!variable.startsWith('ALLUXIO_') || text === undefined) continue;
    const row = rowsByVariable.get(variable);
    if (row) {
      const source = { kind: 'ENVIRONMENT', variable } as const;
      given.set(row.name, { text, source, baseDir: sources.workingDir });
    } else {
      const nearest = nearestOf(variable, [...rowsByVariable.keys()]);
      notices.push(`the environment variable ${variable} names no option and is ignored${nearest}`);
    }
  }
  return { given, notices };
}

function readDefinitions(sources: OptionSources): ReadonlyMap<string, GivenValue> {
  const given = new Map<string, GivenValue>();
  for (const definition of sources.definitions) {
    const equals = definition.indexOf('=');
    if (equals <= 0) {
      throw invalid(`-D${equals < 0 ? definition : ''} is not a definition; write -Dname=value`);
    }
    const name = definition.slice(0, equals).trim();
    rowOf(name, '-D');
    given.set(name, {
      text: definition.slice(equals + 1).trim(),
      source: { kind: 'SYSTEM_PROPERTY' },
      baseDir: sources.workingDir,
    });
  }
  return given;
}

/**
 * `stronger` holds what the environment and -D say, which decides where the file is. The place is then fixed: it is given
 * back as a value, so that `alluxio.work.dir` within the file does not seem to move the file that it stands in.
 */
function readSiteFile(
  sources: OptionSources,
  stronger: ReadonlyMap<string, GivenValue>,
): { readonly given: ReadonlyMap<string, GivenValue>; readonly notices: readonly string[] } {
  const place = resolveOption(rowOf('alluxio.conf.dir', 'here'), stronger, sources);
  const file = join(place.text, siteFileName);
  const text = readBounded(file, {
    maxBytes: siteFileMaxBytes,
    isRequired: place.source.kind !== 'DEFAULT',
    where: siteFileName,
  });
  const given = new Map<string, GivenValue>([
    ['alluxio.conf.dir', { text: place.text, source: place.source, baseDir: sources.workingDir }],
  ]);
  const notices: string[] = [];
  if (text === undefined) return { given, notices };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const content = line.trim();
    if (content === '' || content.startsWith('#')) continue;
    const equals = content.indexOf('=');
    const at = `${file} line ${index + 1}`;
    if (equals <= 0) throw invalid(`${at} is not of the form name=value`);
    const name = content.slice(0, equals).trim();
    if (!rowsByName.has(name)) {
      const nearest = nearestOf(name, [...rowsByName.keys()]);
      notices.push(`${at}: there is no option ${name}, so it is ignored${nearest}`);
      continue;
    }
    if (name === 'alluxio.conf.dir') {
      throw invalid(`${at} sets ${name}, which says where this file is; set it by environment or -D`);
    }
    given.set(name, {
      text: content.slice(equals + 1).trim(),
      source: { kind: 'SITE_PROPERTY', file },
      baseDir: dirname(file),
    });
  }
  return { given, notices };
}

function resolveOption(
  row: OptionRow,
  given: ReadonlyMap<string, GivenValue>,
  sources: OptionSources,
): ResolvedOption {
  const own = given.get(row.name);
  const source: OptionSource = own?.source ?? { kind: 'DEFAULT' };
  const where = `${row.name} (${formatOptionSource(source)})`;
  const text = textOf(row, given, sources, []);
  const toPath = (path: string): string => absolutePath(path, own?.baseDir ?? sources.workingDir, sources);
  const parsed = parseOptionValue(row, text, { where, toPath });
  return { row, value: parsed.value, text: parsed.text, source };
}

/** The text of an option with what it refers to put in. `trail` holds the options that led here, to find a circle. */
function textOf(
  row: OptionRow,
  given: ReadonlyMap<string, GivenValue>,
  sources: OptionSources,
  trail: readonly string[],
): string {
  if (trail.includes(row.name)) {
    throw invalid(`${[...trail, row.name].join(' → ')} refer to each other; give one of them a plain value`);
  }
  const own = given.get(row.name);
  const where = `${row.name} (${formatOptionSource(own?.source ?? { kind: 'DEFAULT' })})`;
  const raw = own?.text ?? row.default;
  const baseDir = own?.baseDir ?? sources.workingDir;
  const referred = readValueReference(raw, {
    where,
    environment: sources.environment,
    toPath: (path) => absolutePath(path, baseDir, sources),
  });
  if (referred !== undefined) return referred;
  return raw.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) =>
    textOf(rowOf(name, where), given, sources, [...trail, row.name]),
  );
}

function accessTo(resolved: ReadonlyMap<string, ResolvedOption>, notices: readonly string[]): Options {
  const entryOf = (name: string): OptionEntry => {
    rowOf(name, 'the table of options');
    const option = resolvedOf(resolved, name);
    const maskedText = option.row.secret && option.text !== '' ? 'xxx' : option.text;
    return { name, maskedText, source: option.source };
  };
  return {
    // The value was parsed by the row from which the type is derived.
    get: <Name extends OptionName>(name: Name) => resolvedOf(resolved, name).value as OptionValue<Name>,
    entryOf,
    entries: [...resolved.keys()].map(entryOf),
    notices,
  };
}

function resolvedOf(resolved: ReadonlyMap<string, ResolvedOption>, name: string): ResolvedOption {
  const option = resolved.get(name);
  if (!option) throw new AlluxioError('Internal', `the option ${name} was not loaded`);
  return option;
}

function rowOf(name: string, where: string): OptionRow {
  const row = rowsByName.get(name);
  if (row) return row;
  throw invalid(`${where}: there is no option ${name}${nearestOf(name, [...rowsByName.keys()])}`);
}

function brokenRelation(relation: Relation, options: Options): AlluxioError {
  const values = relation.names.map((name) => `${name}=${options.entryOf(name).maskedText}`).join(', ');
  return invalid(`${values}: ${relation.reason}`);
}

function invalid(message: string): AlluxioError {
  return new AlluxioError('InvalidOptions', message);
}

function areDistinct(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length;
}

/** `; did you mean x?` for the known name with the fewest changed letters, or nothing when none is near. */
function nearestOf(name: string, known: readonly string[]): string {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name.slice(0, 200), candidate) }))
    .sort((one, other) => one.distance - other.distance);
  const best = ranked[0];
  return best && best.distance <= name.length / 3 ? `; did you mean ${best.candidate}?` : '';
}

function editDistance(one: string, other: string): number {
  let previous = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const current = [i];
    for (let j = 1; j <= other.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[other.length] ?? 0;
}
