/** Writes the pages of docs/ that have a table for their source; with `--check` only says whether they are as the tables have them. */

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { errorCatalogue, errorCodes } from '@alluxio-ts/common/errors';
import { metricTable } from '@alluxio-ts/common/metrics';
import { renderOptionsMarkdown } from '@alluxio-ts/common/options-markdown';

interface Floor {
  readonly floor: number;
  readonly path: string;
  readonly beside: readonly string[];
}

const { floors } = createRequire(import.meta.url)('./floors.cjs') as { readonly floors: readonly Floor[] };

function errorsPage(): string {
  const rows = errorCodes.map((code) => {
    const row = errorCatalogue[code];
    return `| \`${code}\` | ${row.http} | \`${row.s3Code}\` | ${row.source} | ${row.retry} | ${row.meaning} |`;
  });
  return `# Errors

Every error has one of these codes; the HTTP status and the S3 code follow from it. *Source* is where the cause lies, *retry* whether the same call may succeed: never, later, or elsewhere. A command ends with exit code 1 on any of them.

| code | HTTP | S3 code | source | retry | meaning |
|---|---|---|---|---|---|
${rows.join('\n')}

## When the under storage fails

| what happens | with a cached version | without |
|---|---|---|
| re-check: 5xx, timeout, no connection, throttled | served as \`hit-stale\` for up to \`alluxio.worker.metadata.stale.if.error.max\` past its age | 503 \`ServiceUnavailable\`, 504 after a timeout, 503 \`SlowDown\` when throttled; \`Retry-After\` on every 503 |
| re-check: 403, expired or wrong credentials | never served; the record is dropped: 403 \`AccessDenied\` | 403 \`AccessDenied\` |
| re-check: 404 | never served; the record is dropped: 404 \`NoSuchKey\` | 404 \`NoSuchKey\`, remembered for 1 s |
| another version than the record's, before the first byte | looked up again, once; then the answer is of the new version | the same |
| another version after the first byte | the connection is reset; the next read sees the new version | the same |
| a body that breaks off or is too short | nothing of it is kept; the rest is asked for again, of the same version | the same; the connection is reset when that fails |
`;
}

function metricsPage(): string {
  const rows = Object.entries(metricTable).map(([name, row]) => {
    const labels = row.labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${row.kind} | ${labels} | ${row.help} |`;
  });
  return `# Metrics

At \`/metrics\` of the worker's web port (30000) and of the coordinator's port (19999), in Prometheus' text format. Names are those of Alluxio 3.x's dashboards where one of theirs means the same; the usual \`process_*\` and \`nodejs_*\` metrics are there too. The hit ratio is
\`alluxio_cached_data_read_bytes_total / (alluxio_cached_data_read_bytes_total + alluxio_missed_data_read_bytes_total)\`.

| name | kind | labels | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

function architecturePage(before: string): string {
  const names = ['', 'ground', 'storage', 'decisions', 'surfaces'];
  const rows = floors
    .toSorted((one, other) => other.floor - one.floor)
    .map(({ floor, path, beside }) => {
      const others = beside.map((each) => `\`${each}\``).join(', ');
      return `| ${floor} ${names[floor]} | \`${path}\` | ${others} |`;
    });
  const table = `| floor | folder | may also import beside it |\n|---|---|---|\n${rows.join('\n')}`;
  return before.replace(
    /<!-- floors:begin -->[\s\S]*<!-- floors:end -->/,
    `<!-- floors:begin -->\n${table}\n<!-- floors:end -->`,
  );
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const pages: readonly (readonly [path: string, text: string])[] = [
  ['docs/options.md', renderOptionsMarkdown()],
  ['docs/errors.md', errorsPage()],
  ['docs/metrics.md', metricsPage()],
  ['ARCHITECTURE.md', architecturePage(read('ARCHITECTURE.md'))],
];
for (const [path, text] of pages) {
  if (read(path) === text) continue;
  if (process.argv.includes('--check')) {
    console.error(`${path} is not as its table has it; run "npm run docs"`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, text);
    console.log(`wrote ${path}`);
  }
}
