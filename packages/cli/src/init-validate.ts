/** `alluxio init validate`: whether processes can run on this machine as they are configured, before they are started. */

import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { errnoOf, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Options } from '@alluxio-ts/common/options';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { parseCacheRules } from '@alluxio-ts/worker/cache/cache-rules';
import { fillThreadCountOf } from '@alluxio-ts/worker/cache/thread-fill-runner';
import { answersMaxOf, memorySumOf } from '@alluxio-ts/worker/memory-sum';
import { chooseTransport, workerConnectionsMax } from '@alluxio-ts/worker/create-parts';
import { limitsOf, memoryFinding, noticeFindings, transportFinding } from './cluster-findings.ts';
import { optionsOf, type ProgramOptions } from './context.ts';
import { etcdFindings } from './etcd-findings.ts';
import { spaceFinding } from './disk-findings.ts';
import { type Finding, Findings, type FindingsOutput, tellFindings } from './finding.ts';
import { version } from './version.ts';
import { sizeOfFiles } from './worker-composition.ts';

export interface ValidateFlags extends FindingsOutput {
  readonly type?: 'conf' | 'env';
}

export async function validate(context: ProgramOptions, flags: ValidateFlags): Promise<void> {
  const loaded = load(context);
  if (!('options' in loaded)) return tellFindings(context, loaded.findings, flags);
  const { options } = loaded;
  await tellFindings(
    context,
    [
      ...(flags.type === 'env' ? [] : await configurationFindings(options)),
      ...(flags.type === 'conf' ? [] : await environmentFindings(context, options)),
    ],
    flags,
  );
}

/** Without options there is nothing else to check. */
function load(
  context: ProgramOptions,
): { readonly options: Options } | { readonly findings: readonly Finding[] } {
  try {
    return { options: optionsOf(context) };
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'InvalidOptions')) throw thrown;
    const findings = new Findings('options');
    findings.error('configuration', thrown.message, 'correct it; "alluxio conf get" then shows what holds');
    return { findings: findings.found };
  }
}

async function configurationFindings(options: Options): Promise<readonly Finding[]> {
  return [
    ...noticeFindings('configuration', options.notices),
    ...(await rulesFindings(options)),
    ...transportFindings(options),
    ...memoryFinding('a worker', memorySumOf(memoryBoundsOf(options))),
  ];
}

function memoryBoundsOf(options: Options): Parameters<typeof memorySumOf>[0] {
  const transport = chooseTransport(options.get('alluxio.worker.transport')).kind;
  return {
    transport,
    answersMax: answersMaxOf(options.get('alluxio.worker.answers.max'), transport),
    directMemoryBytes: options.get('alluxio.worker.direct.memory.size'),
    fillThreadCount: fillThreadCountOf(options.get('alluxio.worker.fill.threads'), availableParallelism()),
    pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
    loadConcurrencyMax: options.get('alluxio.worker.load.concurrency'),
    capacityBytes: options.get('alluxio.worker.page.store.sizes').reduce((sum, size) => sum + size, 0),
  };
}

async function rulesFindings(options: Options): Promise<readonly Finding[]> {
  const findings = new Findings('cache filter file');
  if (!options.get('alluxio.user.client.cache.filter.enabled')) return findings.found;
  const file = options.get('alluxio.user.client.cache.filter.config.file');
  try {
    parseCacheRules(await readFile(file, 'utf8'), file);
    findings.ok(file, 'its rules can be used');
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    findings.error(file, text, 'correct it: a worker does not start with it');
  }
  return findings.found;
}

function transportFindings(options: Options): readonly Finding[] {
  return transportFinding('a worker', chooseTransport(options.get('alluxio.worker.transport')));
}

async function environmentFindings(context: ProgramOptions, options: Options): Promise<readonly Finding[]> {
  const facts = await processFacts({ version, notices: [], clock: systemClock });
  return [
    ...limitsOf('this machine', facts, workerConnectionsMax),
    ...(await directoryFindings(options)),
    ...(await portFindings(options)),
    ...(await etcdFindings(context, options)),
  ];
}

async function directoryFindings(options: Options): Promise<readonly Finding[]> {
  const findings = new Findings('directory');
  const sizes = options.get('alluxio.worker.page.store.sizes');
  const pageDirs = options.get('alluxio.worker.page.store.dirs');
  const others = ['alluxio.work.dir', 'alluxio.dora.worker.metastore.rocksdb.dir'] as const;
  for (const name of others) await checkDirectory(findings, options.get(name), name);
  for (const [index, dir] of pageDirs.entries()) {
    const there = await checkDirectory(findings, dir, 'alluxio.worker.page.store.dirs');
    if (there === undefined) continue;
    const { bavail, bsize } = await statfs(there);
    const usedBytes = await sizeOfFiles(join(dir, 'segments'));
    const space = { capacityBytes: sizes[index] ?? 0, usedBytes, freeBytes: bavail * bsize };
    spaceFinding(findings, dir, space);
  }
  return findings.found;
}

/** Gives the directory, or the one above in which it would be made; undefined when it cannot be used. */
async function checkDirectory(findings: Findings, dir: string, option: string): Promise<string | undefined> {
  for (let there = dir; ; there = dirname(there)) {
    try {
      if (!(await stat(there)).isDirectory()) throw new Error('it is no directory');
      await access(there, constants.R_OK | constants.W_OK | constants.X_OK);
      findings.ok(dir, there === dir ? 'it can be written to' : `it can be made in ${there}`);
      return there;
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT' && there !== dirname(there)) continue;
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      findings.error(dir, `${there}: ${text}`, `make it writable, or set ${option} to another one`);
      return undefined;
    }
  }
}

const portNames = [
  'alluxio.coordinator.web.port',
  'alluxio.worker.rest.port',
  'alluxio.worker.http.server.port',
  'alluxio.worker.web.port',
] as const;

async function portFindings(options: Options): Promise<readonly Finding[]> {
  const findings = new Findings('port');
  const host = options.get('alluxio.bind.host');
  for (const name of portNames) {
    const port = options.get(name);
    const errno = await listenErrno(host, port);
    const subject = `${name} ${host}:${port}`;
    if (errno === undefined) findings.ok(subject, port === 0 ? 'any free one' : 'free');
    else if (errno === 'EADDRINUSE') {
      findings.error(
        subject,
        'something listens there',
        `stop it, or set ${name}; a process of alluxio that runs holds its own`,
      );
    } else
      findings.error(subject, `nobody can listen there (${errno})`, `correct alluxio.bind.host or ${name}`);
  }
  return findings.found;
}

async function listenErrno(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (thrown) {
    return errnoOf(thrown) ?? 'unknown';
  } finally {
    server.close();
  }
}
