/** Renders docs/options.md from the table, so that the page cannot drift from the code. */

import { describeBounds } from './option-values.ts';
import { environmentNameOf, siteFileName } from './options.ts';
import { type OptionRow, optionsTable } from './options-table.ts';

export function renderOptionsMarkdown(rows: readonly OptionRow[] = optionsTable): string {
  const lines = [
    '# Options',
    '',
    `An option is taken from the strongest source that names it: its default, then \`${siteFileName}\` in`,
    '`alluxio.conf.dir`, then the environment (the name in capitals, dots as underscores), then `-Dname=value`.',
    '`alluxio conf get --source` shows what counts and where it came from.',
    '',
    'Sizes are binary (`4MB`, `10GB`), durations carry a unit (`500ms`, `60s`, `1h`), lists are separated by commas.',
    'A value may be `@file` (the text of that file) or `env:NAME`; `${name}` stands for another option.',
    '',
    '| option | type | default | allowed | read by | meaning |',
    '|---|---|---|---|---|---|',
    ...rows.map(rowLine),
    '',
  ];
  return lines.join('\n');
}

function rowLine(row: OptionRow): string {
  const name = `\`${row.name}\`<br>\`${environmentNameOf(row.name)}\``;
  const allowed = row.values ? row.values.map((value) => `\`${value}\``).join(', ') : describeBounds(row);
  const help = row.secret ? `${row.help} Secret: never printed.` : row.help;
  const cells = [
    name,
    row.type,
    row.default === '' ? '' : `\`${row.default}\``,
    allowed,
    row.readBy.join(', '),
    help,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
