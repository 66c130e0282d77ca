/** What is wrong with a cluster, judged by the facts that its processes tell. Pure: what was asked is in the diagnosis. */

import type { WorkerTransport } from '@alluxio-ts/common/protocol/coordinator-api';
import type {
  ClusterDiagnosis,
  MountProbe,
  ProcessFacts,
  StateStoreDiagnosis,
  WorkerDiagnosis,
  WorkerReport,
} from '@alluxio-ts/common/protocol/diagnosis';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import { formatSize, GIB } from '@alluxio-ts/common/units';
import { diskFindings } from './disk-findings.ts';
import { type Finding, Findings } from './finding.ts';

/** A worker that said how it is. */
interface ToldWorker {
  /** As people know it. */
  readonly name: string;
  readonly report: WorkerReport;
  readonly diagnosis: WorkerDiagnosis;
}

/** Findings about how things are set up, and those about storages and disks. */
export function configurationFindings(cluster: ClusterDiagnosis): readonly Finding[] {
  const told = toldWorkersOf(cluster);
  return [
    ...stateStoreFindings(cluster.stateStore),
    ...workerFindings(cluster.workers),
    ...clockFindings(told),
    ...limitFindings(cluster, told),
    ...memoryFindings(told),
    ...transportFindings(told),
    ...equalityFindings(cluster, told),
    ...optionFindings(cluster, told),
    ...securityFindings(cluster),
  ];
}

export function storageFindings(cluster: ClusterDiagnosis): readonly Finding[] {
  const told = toldWorkersOf(cluster);
  return [
    ...mountFindings(cluster, told),
    ...told.flatMap(({ name, diagnosis }) => diskFindings(name, diagnosis.dirs)),
  ];
}

export function nameOf({ id, address }: Pick<WorkerReport, 'id' | 'address'>): string {
  return `${id} (${hostAndPortOf(address)})`;
}

function toldWorkersOf({ workers }: ClusterDiagnosis): readonly ToldWorker[] {
  return workers.flatMap((report) =>
    report.diagnosis ? [{ name: nameOf(report), report, diagnosis: report.diagnosis }] : [],
  );
}

/** A read that takes longer holds back every change, and leases come near their end. */
const storeLatencyMaxMs = 500;
/** etcd refuses writes at 2 GiB unless told otherwise. */
const etcdSizeMaxBytes = 1.6 * GIB;

export function stateStoreFindings(store: StateStoreDiagnosis): readonly Finding[] {
  const findings = new Findings('state-store');
  if (store.fault) {
    findings.error(
      store.kind,
      store.fault.message,
      'reads go on with what the workers know; changes are refused, and mounts and workers cannot be looked at until it answers',
    );
  } else if ((store.latencyMs ?? 0) > storeLatencyMaxMs) {
    findings.warning(
      store.kind,
      `a read takes ${store.latencyMs} ms`,
      'look at the disks and the load of its machines',
    );
  } else findings.ok(store.kind, `a read takes ${store.latencyMs ?? 0} ms`);
  for (const alarm of store.alarms) {
    findings.error(
      store.kind,
      `the alarm ${alarm} is on`,
      alarm === 'Nospace'
        ? 'etcd refuses writes: compact and defragment it, raise --quota-backend-bytes, then "etcdctl alarm disarm"'
        : 'replace the member whose data is damaged, then "etcdctl alarm disarm"',
    );
  }
  for (const { fault, latencyMs, name, sizeBytes, version } of store.members) {
    if (fault) {
      findings.error(
        name,
        fault.message,
        'start it again; while a majority of the members runs, nothing else suffers',
      );
    } else if (store.kind === 'etcd' && (sizeBytes ?? 0) > etcdSizeMaxBytes) {
      findings.warning(
        name,
        `its database is ${formatSize(sizeBytes ?? 0)}`,
        'compact and defragment it before it reaches its quota (2 GB unless set)',
      );
    } else {
      const facts = [
        version ? `version ${version}` : '',
        latencyMs === undefined ? '' : `answers in ${latencyMs} ms`,
      ];
      findings.ok(name, [...facts.filter(Boolean), formatSize(sizeBytes ?? 0)].join(', '));
    }
  }
  return findings.found;
}

function workerFindings(workers: readonly WorkerReport[]): readonly Finding[] {
  const findings = new Findings('worker');
  for (const report of workers) {
    const name = nameOf(report);
    if (report.status === 'OFFLINE') {
      findings.error(
        name,
        'it is OFFLINE: its lease is over',
        `start it again; if it is not to come back, "alluxio process remove-worker -n ${report.id}"`,
      );
    } else if (report.fault) {
      findings.error(
        name,
        `it is ONLINE, but: ${report.fault.message}`,
        'look at its log and its machine; the clocks and alluxio.cluster.secret.file must be those of the coordinator',
      );
    } else findings.ok(name, `ONLINE, version ${report.diagnosis?.version ?? 'unknown'}`);
  }
  return findings.found;
}

/** Beyond the first people are misled by logs; beyond the second the marks between members are refused. */
const clockWarningMs = 5000;
const clockErrorMs = 5 * 60_000;

function clockFindings(told: readonly ToldWorker[]): readonly Finding[] {
  return told.flatMap(({ name, report }) => clockFinding(name, report.clockAheadMs ?? 0));
}

/** `aheadMs`: of the coordinator's clock. */
export function clockFinding(subject: string, aheadMs: number): readonly Finding[] {
  const findings = new Findings('clock');
  const differsMs = Math.abs(aheadMs);
  const text = `${(differsMs / 1000).toFixed(1)} s ${aheadMs < 0 ? 'behind' : 'ahead of'} the coordinator`;
  const advice = 'set the clocks by NTP';
  if (differsMs > clockErrorMs) {
    findings.error(
      subject,
      text,
      `${advice}: beyond 5 min members refuse each other, and S3 refuses signatures`,
    );
  } else if (differsMs > clockWarningMs) findings.warning(subject, text, advice);
  else findings.ok(subject, text);
  return findings.found;
}

/** What a process needs of open files beside its connections: segments, databases, libraries. */
const openFilesReserve = 1024;
const nodeMajorMin = 24;

function limitFindings({ coordinator }: ClusterDiagnosis, told: readonly ToldWorker[]): readonly Finding[] {
  return [
    ...limitsOf('coordinator', coordinator, 0),
    ...told.flatMap(({ name, diagnosis }) => limitsOf(name, diagnosis, diagnosis.connectionsMax)),
  ];
}

export function limitsOf(
  subject: string,
  { nodeVersion, openFilesMax }: Pick<ProcessFacts, 'nodeVersion' | 'openFilesMax'>,
  connectionsMax: number,
): readonly Finding[] {
  const findings = new Findings('limits');
  const neededCount = connectionsMax + openFilesReserve;
  if (Number.parseInt(nodeVersion, 10) < nodeMajorMin) {
    findings.error(subject, `Node ${nodeVersion}`, `run it with Node ${nodeMajorMin} or newer`);
  } else if (openFilesMax !== undefined && openFilesMax < neededCount) {
    findings.warning(
      subject,
      `it may open ${openFilesMax} files and takes ${connectionsMax} connections`,
      `raise its hard limit of open files to ${neededCount} or more (LimitNOFILE=, ulimit -Hn): it takes all that it may by itself`,
    );
  } else findings.ok(subject, `Node ${nodeVersion}, ${openFilesMax ?? 'unknown'} open files`);
  return findings.found;
}

function memoryFindings(told: readonly ToldWorker[]): readonly Finding[] {
  return told.flatMap(({ name, diagnosis }) => memoryFinding(name, diagnosis.memory));
}

export function memoryFinding(
  subject: string,
  { limitBytes, parts, sumBytes }: WorkerDiagnosis['memory'],
): readonly Finding[] {
  const findings = new Findings('memory');
  const largest = parts.toSorted((one, other) => other.bytes - one.bytes).slice(0, 3);
  const text = `it may need ${formatSize(sumBytes)} of ${formatSize(limitBytes)}`;
  if (sumBytes <= limitBytes) findings.ok(subject, text);
  else {
    findings.warning(
      subject,
      `${text}, most of it ${largest.map(({ name, bytes }) => `${name} ${formatSize(bytes)}`).join(', ')}`,
      'give it more memory, or less heap (NODE_OPTIONS=--max-old-space-size=<MB>) or direct memory (alluxio.worker.direct.memory.size)',
    );
  }
  return findings.found;
}

function transportFindings(told: readonly ToldWorker[]): readonly Finding[] {
  return told.flatMap(({ name, diagnosis: { transport } }) =>
    transport ? transportFinding(name, transport) : [],
  );
}

export function transportFinding(
  subject: string,
  { configured, kind, reason }: WorkerTransport,
): readonly Finding[] {
  const findings = new Findings('transport');
  if (reason === undefined) findings.ok(subject, `${kind} answers reads`);
  else {
    findings.warning(
      subject,
      `${kind} answers reads and not ${configured}: ${reason}`,
      `install @alluxio-ts/transport with its optional packages, or Rust and run "npm run prepare", or set alluxio.worker.transport=${kind}`,
    );
  }
  return findings.found;
}

function equalityFindings(
  { coordinator }: ClusterDiagnosis,
  told: readonly ToldWorker[],
): readonly Finding[] {
  const findings = new Findings('equality');
  const names = [...new Set(told.flatMap(({ diagnosis }) => Object.keys(diagnosis.configuration)))];
  for (const name of names) {
    const values = groupBy(told, ({ diagnosis }) => diagnosis.configuration[name] ?? 'not told');
    if (values.size === 1) findings.ok(name, `${[...values.keys()].join('')} on all workers`);
    else {
      findings.error(
        name,
        `it differs: ${groupsText(values)}`,
        'give all workers the same value: they would not agree on owners or pages, and the cache would hold files twice',
      );
    }
  }
  const versions = groupBy(told, ({ diagnosis }) => diagnosis.version);
  const all = new Set([coordinator.version, ...versions.keys()]);
  if (all.size === 1) findings.ok('version', `${coordinator.version} everywhere`);
  else {
    findings.warning(
      'version',
      `it differs: ${coordinator.version} on the coordinator, ${groupsText(versions)}`,
      'bring all to the same version once the update is through',
    );
  }
  return findings.found;
}

function groupBy(
  told: readonly ToldWorker[],
  valueOf: (worker: ToldWorker) => string,
): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const worker of told) {
    const names = groups.get(valueOf(worker)) ?? [];
    groups.set(valueOf(worker), [...names, worker.name]);
  }
  return groups;
}

function groupsText(groups: ReadonlyMap<string, readonly string[]>): string {
  return [...groups].map(([value, names]) => `${value} on ${names.join(', ')}`).join('; ');
}

function optionFindings({ coordinator }: ClusterDiagnosis, told: readonly ToldWorker[]): readonly Finding[] {
  return [
    ...noticeFindings('coordinator', coordinator.notices),
    ...told.flatMap(({ name, diagnosis }) => noticeFindings(name, diagnosis.notices)),
  ];
}

export function noticeFindings(subject: string, notices: readonly string[]): readonly Finding[] {
  const findings = new Findings('options');
  if (notices.length === 0) findings.ok(subject, 'every name is that of an option');
  for (const notice of notices) {
    findings.warning(
      subject,
      notice,
      'correct the name, or take it out ("alluxio conf get" lists the options)',
    );
  }
  return findings.found;
}

function securityFindings({ coordinator, mounts }: ClusterDiagnosis): readonly Finding[] {
  const findings = new Findings('security');
  if (coordinator.isAdminOpen) {
    findings.warning(
      'coordinator',
      'anyone who reaches it may change mounts, rules and the cache',
      'take alluxio.security.admin.open away, and give the token to those who need it',
    );
  } else findings.ok('coordinator', 'changing calls need the token');
  for (const { path } of mounts.filter(({ hasClearSecrets }) => hasClearSecrets)) {
    findings.warning(
      path,
      'its secrets are stored in clear text',
      'put a key of 32 bytes into alluxio.security.key.file on every host, then remove the mount and add it again',
    );
  }
  return findings.found;
}

/** A storage that answers so late makes every miss slow. */
const probeSlowMs = 2000;

function mountFindings(cluster: ClusterDiagnosis, told: readonly ToldWorker[]): readonly Finding[] {
  const findings = new Findings('mount');
  for (const probe of cluster.mounts) judgeProbe(findings, 'the coordinator', probe);
  for (const { name, diagnosis } of told) {
    const served = new Map(diagnosis.mounts.map((probe) => [probe.path, probe]));
    for (const { path, ufsUri } of cluster.mounts) {
      const probe = served.get(path);
      if (probe) judgeProbe(findings, name, probe);
      else {
        findings.error(
          `${path} at ${name}`,
          `it does not serve ${ufsUri}`,
          'its log says why (mount-not-served): the directory may not be below alluxio.ufs.local.allowed.roots, or alluxio.security.key.file differs',
        );
      }
    }
  }
  return findings.found;
}

function judgeProbe(
  findings: Findings,
  where: string,
  { path, ufsUri, durationMs, fault, leftAloneMs }: MountProbe,
): void {
  const subject = `${path} at ${where}`;
  if (leftAloneMs !== undefined) {
    findings.error(
      subject,
      `${ufsUri} has not answered for ${Math.round(leftAloneMs / 1000)} s: what is not cached fails at once there${fault ? ` (${fault.message})` : ', though it answers now'}`,
      `make ${ufsUri} reachable from there; it is asked every 5 s at the least, and used again when it answers`,
    );
  } else if (fault) {
    findings.error(
      subject,
      `${ufsUri}: ${fault.message}`,
      `make ${ufsUri} reachable from there, or correct the mount ("alluxio mount list")`,
    );
  } else if (durationMs > probeSlowMs) {
    findings.warning(
      subject,
      `${ufsUri} took ${durationMs} ms to answer`,
      'look at the storage and the network between',
    );
  } else findings.ok(subject, `${ufsUri} answered in ${durationMs} ms`);
}
