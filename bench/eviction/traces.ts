/** Sequences of page numbers, each from its seed alone. */

export interface Trace {
  readonly name: string;
  readonly pages: Uint32Array;
  readonly distinctCount: number;
}

/** Pages of the data set that most traces are about. */
const samplesDefault = 10_000;

/** Uniform in [0, 1): mulberry32. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Longer for a larger data set, and otherwise alike. */
export function allTraces(seed: number, samples = samplesDefault): readonly Trace[] {
  const random = randomOf(seed);
  const epochs = (options: EpochOptions): number[] => epochsOf(random, samples, options);
  return [
    traceOf('epochs, shuffled', epochs({ count: 8, first: 0, isShuffled: true })),
    traceOf('epochs, in order', epochs({ count: 8, first: 0, isShuffled: false })),
    traceOf('epochs + 20 % hot', withHot(random, samples, epochs({ count: 8, first: 0, isShuffled: true }))),
    traceOf('zipf', zipf(random, samples)),
    traceOf('zipf + scan', withScan(zipf(random, samples), samples)),
    traceOf('job switch', [
      ...epochs({ count: 6, first: 0, isShuffled: true }),
      ...epochs({ count: 6, first: 1_000_000, isShuffled: true }),
    ]),
    traceOf('recency', walk(random, samples)),
    traceOf(
      'three jobs',
      [0, 1, 2].flatMap((job) => epochs({ count: 5, first: job * 1_000_000, isShuffled: true })),
    ),
    traceOf('sliding epochs', slide(random, samples)),
  ];
}

function traceOf(name: string, pages: readonly number[]): Trace {
  return { name, pages: Uint32Array.from(pages), distinctCount: new Set(pages).size };
}

interface EpochOptions {
  readonly count: number;
  readonly first: number;
  readonly isShuffled: boolean;
}

/** Each sample once an epoch. */
function epochsOf(random: () => number, samples: number, options: EpochOptions): number[] {
  const pages: number[] = [];
  const order = Array.from({ length: samples }, (_, number) => options.first + number);
  for (let epoch = 0; epoch < options.count; epoch++) {
    if (options.isShuffled) shuffle(order, random);
    for (const page of order) pages.push(page);
  }
  return pages;
}

function shuffle(order: number[], random: () => number): void {
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
}

/** Every fifth request goes to one of a few other pages, the popular ones more often. */
function withHot(random: () => number, samples: number, pages: readonly number[]): number[] {
  const pick = zipfPicker(random, samples / 5);
  return pages.flatMap((page, at) => (at % 4 === 0 ? [page, 2_000_000 + pick()] : [page]));
}

function zipf(random: () => number, samples: number): number[] {
  const pick = zipfPicker(random, samples);
  return Array.from({ length: 20 * samples }, () => pick());
}

/** In the middle every page of another, twice as large dataset once. */
function withScan(pages: readonly number[], samples: number): number[] {
  const middle = pages.length / 2;
  const scan = Array.from({ length: 2 * samples }, (_, number) => 3_000_000 + number);
  return [...pages.slice(0, middle), ...scan, ...pages.slice(middle)];
}

/** What was used lately is used again; the place moves on slowly. */
function walk(random: () => number, samples: number): number[] {
  return Array.from({ length: 20 * samples }, (_, at) => {
    const distance = Math.floor(-Math.log(1 - random()) * 0.08 * samples);
    return Math.max(0, Math.floor(at / 10) - distance) + 4_000_000;
  });
}

/** Each epoch reads a data set of ten shards in a new order; from one to the next the oldest shard goes and a new one comes. */
function slide(random: () => number, samples: number): number[] {
  return Array.from({ length: 20 }, (_, epoch) =>
    epochsOf(random, samples, { count: 1, first: 5_000_000 + (epoch * samples) / 10, isShuffled: true }),
  ).flat();
}

function zipfPicker(random: () => number, count: number, exponent = 0.9): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    sums[rank] = sum;
  }
  return () => {
    const sought = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] ?? 0) < sought) low = middle + 1;
      else high = middle;
    }
    // Neighbours in rank are no neighbours in number.
    return (low * 7919) % count;
  };
}
