import t from 'tap';
import { fitted, formatTable, widthOf } from '../src/table.ts';

t.test('columns are aligned, numbers to the right', async (t) => {
  const table = {
    header: ['Path', 'Size', 'Note'],
    rows: [
      ['/a', 5, 'x'],
      ['/longer', 1234, ''],
    ],
  };
  t.equal(formatTable(table, 80), 'Path     Size  Note\n/a          5  x\n/longer  1234\n');
});

t.test('what does not fit is cut in its middle, the widest column first, and no line wraps', async (t) => {
  const path = '/data/a/very/long/way/down/file.csv';
  t.equal(fitted(path, 15), '/data/a…ile.csv');
  t.equal(fitted(path, path.length), path);
  const table = {
    header: ['Path', 'Status'],
    rows: [
      [path, 'ONLINE'],
      [`${path}.日本語の名前の長い物`, 'OFFLINE'],
    ],
  };
  for (const columns of [14, 20, 33, 34, 60]) {
    const lines = formatTable(table, columns).trimEnd().split('\n');
    for (const line of lines) t.ok(widthOf(line) <= columns, `${columns}: ${line}`);
    const begins = lines.map((line) => widthOf(line.slice(0, line.search(/Status$|O[NF]\S*$/))));
    t.equal(new Set(begins).size, 1, `the second column is one under the other at ${columns}`);
  }
});

t.test('letters of two columns and of none are counted as terminals show them', async (t) => {
  for (const [text, width] of [
    ['abc', 3],
    ['日本', 4],
    ['e\u0301te\u0301', 3],
    ['👩‍🔬!', 3],
    ['한글', 4],
  ] as const)
    t.equal(widthOf(text), width, text);
  t.equal(fitted('日本語日本語', 7), '日本…語');
});

t.test('a name cannot speak to the terminal', async (t) => {
  t.equal(formatTable({ header: ['P'], rows: [['a\u001b[2J\nb']] }, 80), 'P\na\\u001b[2J\\u000ab\n');
});

t.test('an id is never cut, also where lines become longer than the terminal', async (t) => {
  const id = '722a2cc2-7b98-429f-a72d-68ea30c20cfa';
  const table = { header: ['Id', 'Path'], rows: [[id, '/a/long/path/to/a/file']], whole: [0] };
  t.match(formatTable(table, 50), new RegExp(`^${id}  /a/lon…/file$`, 'm'));
  t.match(formatTable(table, 20), new RegExp(`^${id}  /a…le$`, 'm'));
});
