/** `alluxio info`: facts about this installation and its cluster. */

import type { WorkerStats } from '@alluxio-ts/common/protocol/coordinator-api';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import { type Command, Argument, Option } from 'commander';
import { type Answer, type JsonFlag, jsonOption, print } from './answer.ts';
import { metricsAnswer, summaryAnswer, ufsAnswer } from './cluster-report.ts';
import { withCoordinator } from './connections.ts';
import { addDoctorCommand } from './doctor-command.ts';
import { addInfoCacheCommand } from './info-cache.ts';
import { optionsOf, type ProgramOptions } from './context.ts';
import { formatStructured, type StructuredFormat, structuredFormats } from './structured-text.ts';
import { version } from './version.ts';

const reportKinds = ['summary', 'metrics', 'ufs'] as const;
type ReportKind = (typeof reportKinds)[number];

export function addInfoCommands(program: Command, context: ProgramOptions): void {
  const info = program
    .command('info')
    .description('Shows facts about this installation and its cluster.')
    .addHelpText('after', infoHelp);
  info
    .command('version')
    .description('Prints the version of this command.')
    .addOption(jsonOption())
    .addHelpText('after', versionHelp)
    .action((flags: JsonFlag) => print(context, flags, { data: { version }, text: `${version}\n` }));
  info
    .command('nodes')
    .description('Shows the workers and whether they are there.')
    .addOption(jsonOption())
    .addHelpText('after', nodesHelp)
    .action((flags: JsonFlag) => nodes(context, flags));
  info
    .command('report')
    .description('Shows the state of the cluster: a summary, its metrics, or its under storages.')
    .addArgument(new Argument('[kind]', 'of what').choices(reportKinds).default('summary'))
    .addOption(new Option('--format <format>', 'for programs').choices(structuredFormats))
    .addOption(jsonOption())
    .addHelpText('after', reportHelp)
    .action((kind: ReportKind, flags: ReportFlags) => report(context, kind, flags));
  addInfoCacheCommand(info, context);
  addDoctorCommand(info, context);
}

async function nodes(context: ProgramOptions, flags: JsonFlag): Promise<void> {
  const workers = await withCoordinator(context, (client) => client.listWorkers());
  const header = ['WorkerId', 'Address', 'Status'];
  const rows = workers.map(({ id, address, status }) => [id, hostAndPortOf(address), status]);
  await print(context, flags, {
    data: {
      workers: workers.map(({ id, address, status, stats }) => ({
        id,
        address: hostAndPortOf(address),
        status,
        ...(stats ? sumsOf(stats) : {}),
      })),
    },
    text: [header, ...rows].map((row) => `${row.join('\t')}\n`).join(''),
    table: {
      header: [...header, 'Transport'],
      rows: workers.map(({ stats }, index) => [...(rows[index] ?? []), stats?.transport?.kind ?? '']),
      whole: [0],
    },
  });
}

/** Its directories are for `info cache`. */
function sumsOf(stats: WorkerStats) {
  const { capacityBytes, hitBytes, missBytes, pageCount, pageSizeBytes, transport, usedBytes } = stats;
  const sums = { pageSizeBytes, capacityBytes, usedBytes, pageCount, hitBytes, missBytes };
  return transport ? { ...sums, transport } : sums;
}

interface ReportFlags extends JsonFlag {
  readonly format?: StructuredFormat;
}

async function report(context: ProgramOptions, kind: ReportKind, flags: ReportFlags): Promise<void> {
  const answer = await withCoordinator(context, async (client): Promise<Answer> => {
    switch (kind) {
      case 'summary':
        return summaryAnswer(await client.info(), optionsOf(context).get('alluxio.coordinator.hostname'));
      case 'metrics':
        return metricsAnswer(await client.metricsText());
      case 'ufs':
        return ufsAnswer(await client.listMounts());
      default:
        return kind satisfies never;
    }
  });
  if (flags.format === 'yaml' && !flags.json) {
    await context.writeOut(formatStructured(answer.data, 'yaml'));
  } else {
    await print(context, flags.format === 'json' ? { json: true } : flags, answer);
  }
}

const infoHelp = `
Examples:
  alluxio info version
  alluxio info nodes
  alluxio info report
  alluxio info cache
  alluxio info doctor
`;

const versionHelp = `
Examples:
  alluxio info version
`;

const nodesHelp = `
The address is that of the worker's REST API; tabs part the columns, unless a terminal is written to.

Examples:
  alluxio info nodes
`;

const reportHelp = `
Examples:
  alluxio info report
  alluxio info report --format json
  alluxio info report metrics
  alluxio info report ufs --format yaml
`;
