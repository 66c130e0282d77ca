/** `alluxio info doctor`: looks for what is wrong with a cluster, and says what to do about it. */

import { connect } from 'node:net';
import { systemClock } from '@alluxio-ts/common/clock';
import { errnoOf, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import type { ClusterDiagnosis, WorkerReport } from '@alluxio-ts/common/protocol/diagnosis';
import { Argument, type Command } from 'commander';
import {
  clockFinding,
  configurationFindings,
  nameOf,
  noticeFindings,
  storageFindings,
} from './cluster-findings.ts';
import { jsonOption } from './answer.ts';
import { withCoordinator } from './connections.ts';
import { optionsOf, type ProgramOptions } from './context.ts';
import { type Finding, Findings, type FindingsOutput, tellFindings } from './finding.ts';

const subjects = ['all', 'configuration', 'storage'] as const;
type Subject = (typeof subjects)[number];

interface DoctorFlags extends FindingsOutput {
  readonly diskSpeed?: true;
}

export function addDoctorCommand(info: Command, context: ProgramOptions): void {
  info
    .command('doctor')
    .description('Looks for what is wrong with the cluster, and says what to do about it.')
    .addArgument(new Argument('[subject]', 'what to look at').choices(subjects).default('all'))
    .option('--all', 'show what is well, too')
    .option('--disk-speed', 'measure the cache disks, by 32 MB that are written and read')
    .addOption(jsonOption())
    .addHelpText('after', doctorHelp)
    .action((subject: Subject, flags: DoctorFlags) => doctor(context, subject, flags));
}

async function doctor(context: ProgramOptions, subject: Subject, flags: DoctorFlags): Promise<void> {
  const options = optionsOf(context);
  const place = `${options.get('alluxio.coordinator.hostname')}:${options.get('alluxio.coordinator.web.port')}`;
  const coordinator = new Findings('coordinator');
  const cluster = await ask(context, flags.diskSpeed ?? false).catch((thrown: unknown) => {
    // A wrong token is the caller's matter, not the cluster's.
    if (hasErrorCode(thrown, 'Unauthenticated')) throw thrown;
    const text = toAlluxioError(thrown).message;
    coordinator.error(place, text, 'reads do not need it; start it again to change or look at anything');
    return undefined;
  });
  if (cluster) coordinator.ok(place, `version ${cluster.diagnosis.coordinator.version}`);
  const here = noticeFindings('this command', options.notices);
  const findings = [
    ...coordinator.found,
    ...(subject === 'storage' ? [] : here),
    ...(cluster ? await findingsOf(cluster, subject) : await withoutCoordinator(context, subject)),
  ];
  await tellFindings(context, findings, flags);
}

/** What can be seen from here. */
async function withoutCoordinator(context: ProgramOptions, subject: Subject): Promise<readonly Finding[]> {
  if (subject === 'storage') return [];
  // Loaded here alone: with a coordinator no command needs etcd.
  const { etcdFindings } = await import('./etcd-findings.ts');
  return etcdFindings(context, optionsOf(context));
}

interface Asked {
  readonly diagnosis: ClusterDiagnosis;
  /** How far this machine is ahead of the coordinator. */
  readonly hereAheadMs: number;
}

async function ask(context: ProgramOptions, measuresDisks: boolean): Promise<Asked> {
  const diagnosis = await withCoordinator(context, (client) => client.diagnose({ measuresDisks }));
  return { diagnosis, hereAheadMs: systemClock.now() - diagnosis.coordinator.nowMs };
}

async function findingsOf({ diagnosis, hereAheadMs }: Asked, subject: Subject): Promise<readonly Finding[]> {
  const configuration =
    subject === 'storage'
      ? []
      : [
          ...configurationFindings(diagnosis),
          ...clockFinding('this machine', hereAheadMs),
          ...(await portFindings(diagnosis.workers)),
        ];
  return [...configuration, ...(subject === 'configuration' ? [] : storageFindings(diagnosis))];
}

async function portFindings(workers: readonly WorkerReport[]): Promise<readonly Finding[]> {
  const online = workers.filter(({ status }) => status === 'ONLINE');
  return (await Promise.all(online.map(portsOf))).flat();
}

async function portsOf(report: WorkerReport): Promise<readonly Finding[]> {
  const findings = new Findings('port');
  const { Host, HttpServerPort, S3Port, WebPort } = report.address;
  const ports = [
    ['S3', S3Port],
    ['REST', HttpServerPort],
    ['web', WebPort],
  ] as const;
  // A worker of another make may not have each of them.
  const open = ports.filter(([, port]) => port !== 0);
  const faults = await Promise.all(open.map(([, port]) => connectFault(Host, port)));
  for (const [index, [name, port]] of open.entries()) {
    const subject = `${name} ${Host}:${port} of ${nameOf(report)}`;
    const fault = faults[index];
    if (fault === undefined) findings.ok(subject, 'it takes connections from here');
    else {
      findings.error(
        subject,
        `no connection from here (${fault})`,
        'look at the network between, and whether alluxio.worker.hostname is a name that others reach it by',
      );
    }
  }
  return findings.found;
}

const connectTimeoutMs = 2000;

function connectFault(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectTimeoutMs });
    const end = (fault?: string): void => {
      socket.destroy();
      resolve(fault);
    };
    socket.once('connect', () => end());
    socket.once('timeout', () => end(`no answer within ${connectTimeoutMs / 1000} s`));
    socket.once('error', (error) => end(errnoOf(error) ?? error.message));
  });
}

const doctorHelp = `
Looks at the state store, the workers, their ports, clocks, limits, memory and options (configuration), and
at the storages behind the mounts, from everywhere, and the cache disks (storage). --disk-speed needs the
admin token. Exit code 1 when there is an error.

Examples:
  alluxio info doctor
  alluxio info doctor storage --disk-speed
  alluxio info doctor --all --json
`;
