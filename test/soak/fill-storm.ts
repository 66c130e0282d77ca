/**
 * Reads files that a store does not have, one after the other for ever: `fill-storm.ts <url of each, up to its number> <how many files> <how many at once>`. Apart from who reads slowly, so that
 * neither waits for the other. Prints a line with the count of bytes now and then; ends when its input does.
 */

import { get } from 'node:http';

const [prefix = '', fileCount = '1', laneCount = '1'] = process.argv.slice(2);
const tellEveryMs = 500;
let bytes = 0;

function readNext(count: number): void {
  const url = `${prefix}${count % Number(fileCount)}`;
  get(url, (response) => {
    if (response.statusCode !== 200) throw new Error(`${url} was answered ${response.statusCode}`);
    response.on('data', (chunk: Buffer) => (bytes += chunk.length));
    response.on('end', () => readNext(count + Number(laneCount)));
  });
}

process.stdin.on('end', () => process.exit(0)).resume();
setInterval(() => console.log(bytes), tellEveryMs);
for (let lane = 0; lane < Number(laneCount); lane++) readNext(lane);
