/** `alluxio info`: facts about this installation and its cluster. */

import { type Command, Argument, Option } from 'commander';
import { metricsData, metricsLines, summaryData, summaryText, ufsData, ufsText } from './cluster-report.ts';
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
    .addHelpText('after', versionHelp)
    .action(() => {
      context.stdout.write(`${version}\n`);
    });
  info
    .command('nodes')
    .description('Shows the workers and whether they are there.')
    .addHelpText('after', nodesHelp)
    .action(() => nodes(context));
  info
    .command('report')
    .description('Shows the state of the cluster: a summary, its metrics, or its under storages.')
    .addArgument(new Argument('[kind]', 'of what').choices(reportKinds).default('summary'))
    .addOption(new Option('--format <format>', 'for programs').choices(structuredFormats))
    .addHelpText('after', reportHelp)
    .action((kind: ReportKind, flags: { readonly format?: StructuredFormat }) =>
      report(context, kind, flags.format),
    );
  addInfoCacheCommand(info, context);
  addDoctorCommand(info, context);
}

async function nodes(context: ProgramOptions): Promise<void> {
  const workers = await withCoordinator(context, (client) => client.listWorkers());
  const rows = workers.map(
    ({ id, address, status }) => `${id}\t${address.Host}:${address.HttpServerPort}\t${status}`,
  );
  context.stdout.write(['WorkerId\tAddress\tStatus', ...rows, ''].join('\n'));
}

async function report(
  context: ProgramOptions,
  kind: ReportKind,
  format: StructuredFormat | undefined,
): Promise<void> {
  const text = await withCoordinator(context, async (client) => {
    switch (kind) {
      case 'summary': {
        const info = await client.info();
        const host = optionsOf(context).get('alluxio.coordinator.hostname');
        return format ? formatStructured(summaryData(info, host), format) : summaryText(info, host);
      }
      case 'metrics': {
        const metrics = await client.metricsText();
        return format
          ? formatStructured(metricsData(metrics), format)
          : `${metricsLines(metrics).join('\n')}\n`;
      }
      case 'ufs': {
        const mounts = await client.listMounts();
        return format ? formatStructured(ufsData(mounts), format) : ufsText(mounts);
      }
      default:
        return kind satisfies never;
    }
  });
  context.stdout.write(text);
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
The address is that of the worker's REST API; tabs part the columns.

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
