import t from 'tap';
import { RecordBatches } from '../src/page-store/record-batches.ts';
import type { Segment } from '../src/page-store/segment.ts';

interface Written {
  readonly segment: Segment;
  readonly text: string;
  readonly position: number;
  readonly settle: PromiseWithResolvers<void>;
}

/** As much of a segment as batches look at. */
function segmentWith(writerCount: number): Segment {
  return { writerCount } as Segment;
}

function batches(): { readonly written: Written[]; readonly batches: RecordBatches } {
  const written: Written[] = [];
  const write = (segment: Segment, pieces: readonly Uint8Array[], position: number): Promise<void> => {
    const settle = Promise.withResolvers<void>();
    written.push({ segment, position, text: Buffer.concat(pieces).toString(), settle });
    return settle.promise;
  };
  return { written, batches: new RecordBatches(write) };
}

const record = (text: string): readonly Uint8Array[] => [
  Buffer.from(text.slice(0, 1)),
  Buffer.from(text.slice(1)),
];

t.test('a record whose writer is the only one is written at once', async (t) => {
  const { batches: one, written } = batches();
  const segment = segmentWith(1);
  const done = one.add(segment, record('abc'), 4096);
  t.match(written, [{ text: 'abc', position: 4096 }]);
  written[0]?.settle.resolve();
  await done;
});

t.test('records side by side become one write, in their order, and fail together', async (t) => {
  const { batches: several, written } = batches();
  const segment = segmentWith(3);
  const adds = [
    several.add(segment, record('abc'), 10),
    several.add(segment, record('de'), 13),
    several.add(segment, record('fgh'), 15),
  ];
  t.match(written, [{ text: 'abcdefgh', position: 10 }], 'the last writer of all ends the batch');
  const failure = new Error('the disk is full');
  written[0]?.settle.reject(failure);
  for (const add of adds) await t.rejects(add, failure);
});

t.test('what does not follow, or is in another segment, begins a batch of its own', async (t) => {
  const { batches: several, written } = batches();
  const [one, other] = [segmentWith(9), segmentWith(9)];
  void several.add(one, record('abc'), 10);
  void several.add(one, record('de'), 20);
  void several.add(other, record('fg'), 22);
  t.match(written, [
    { text: 'abc', position: 10 },
    { text: 'de', position: 20 },
  ]);
  while (written.length < 3) await new Promise((resolve) => setImmediate(resolve));
  t.match(written[2], { text: 'fg', position: 22 }, 'the last one waits a moment only');
  t.equal(written[2]?.segment, other);
});

t.test('a batch is bounded, by records and by bytes', async (t) => {
  const { batches: several, written } = batches();
  const segment = segmentWith(1000);
  for (let index = 0; index < 32; index++) void several.add(segment, record('ab'), 2 * index);
  t.equal(written.length, 1);
  t.equal(written[0]?.text.length, 64);
  void several.add(segment, [new Uint8Array(1024 * 1024)], 64);
  t.equal(written.length, 2);
});
