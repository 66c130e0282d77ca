import t from 'tap';
import {
  type RecordHeader,
  decodeRecordHeader,
  encodeRecordEnd,
  endMarkBytes,
  isRecordEnd,
  encodeRecordHeader,
  recordLayoutOf,
} from '../src/page-store/record-format.ts';
import {
  decodeFooter,
  decodeSegmentHeader,
  decodeTrailer,
  encodeFooter,
  encodeSegmentHeader,
  segmentFileNameOf,
  segmentIdOf,
  trailerBytes,
} from '../src/page-store/segment-format.ts';

const identity = { id: 258, nonce: Buffer.alloc(16, 0xab), pageSizeBytes: 262_144 };
const origin = { ufsPath: 's3://b/ü', version: '"e"', pageSizeBytes: 262_144 };

function sampleHeader(): RecordHeader {
  const layout = recordLayoutOf(origin, 70_000);
  if (!layout) throw new Error('the sample has a layout');
  return { origin, index: 7, layout, checksums: Uint32Array.of(1, 0xffff_ffff) };
}

void t.test('a record header has the recorded bytes', async (t) => {
  const bytes = encodeRecordHeader(sampleHeader(), identity, 8192);
  const recorded = [
    '4158504147450d0a02000000a0000000abababababababababababababababab',
    '020100000000000000200000000000003b2f6d67928c5fe831020e9406e74f2b',
    '0f794058173bc8283e80acde1e5ed89e8c8656c5d114d7f8b2a412d2d5fd03ac',
    'cce3ed050624a0493734591a9666b11000000400070000007011010000100000',
    '090003000000000073333a2f2f622fc3bc22652201000000ffffffffc07442d8',
  ];
  const { layout } = sampleHeader();
  t.equal(
    bytes.toString('hex', 0, layout.headerBytes),
    recorded.join(''),
    'a change here is a new format version',
  );
  t.equal(bytes.length, layout.dataOffsetBytes);
  t.ok(bytes.subarray(layout.headerBytes).every((byte) => byte === 0));
  t.same(decodeRecordHeader(bytes, identity, 8192), sampleHeader());
});

void t.test('a record ends in its mark, which is refused anywhere else', async (t) => {
  const { layout } = sampleHeader();
  const bytes = encodeRecordEnd(layout, identity, 8192);
  t.equal(bytes.length, layout.recordBytes - layout.dataOffsetBytes - layout.lengthBytes);
  t.ok(bytes.subarray(0, -endMarkBytes).every((byte) => byte === 0));
  const mark = bytes.subarray(-endMarkBytes);
  t.equal(
    mark.toString('hex'),
    '415850454e440d0aabababababababababababababababab0020000000000000',
    'a change here is a new format version',
  );
  t.ok(isRecordEnd(mark, identity, 8192));
  t.notOk(isRecordEnd(mark, identity, 12_288), 'another record');
  t.notOk(
    isRecordEnd(mark, { ...identity, nonce: Buffer.alloc(16, 0xac) }, 8192),
    'another life of the segment',
  );
  for (let at = 0; at < endMarkBytes; at++) {
    const damaged = Buffer.from(mark);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    t.notOk(isRecordEnd(damaged, identity, 8192), `byte ${at}`);
    t.notOk(isRecordEnd(mark.subarray(0, at), identity, 8192), `cut at ${at}`);
  }
});

void t.test('a record header is refused anywhere but in its own place', async (t) => {
  const bytes = encodeRecordHeader(sampleHeader(), identity, 8192);
  t.equal(decodeRecordHeader(bytes, identity, 12_288), undefined, 'another offset');
  t.equal(decodeRecordHeader(bytes, { ...identity, id: 259 }, 8192), undefined, 'another segment');
  const nonce = Buffer.alloc(16, 0xac);
  t.equal(decodeRecordHeader(bytes, { ...identity, nonce }, 8192), undefined, 'another life of the segment');
  t.equal(decodeRecordHeader(bytes, { ...identity, pageSizeBytes: 1 }, 8192), undefined, 'another page size');
});

void t.test('every single flip and every cut of a header or footer is found', async (t) => {
  const header = encodeRecordHeader(sampleHeader(), identity, 8192).subarray(
    0,
    sampleHeader().layout.headerBytes,
  );
  const segment = encodeSegmentHeader(identity, Buffer.alloc(16, 1));
  const entry = {
    page: { file: { a: 1, b: 2, c: 3 }, index: 4 },
    recordOffsetBytes: 4096,
    dataStartBytes: 8192,
    lengthBytes: 70_000,
    checksums: Uint32Array.of(5, 6),
  };
  const footer = encodeFooter([entry], identity, 81_920);
  const readFooter = (bytes: Buffer): unknown => {
    const trailer = decodeTrailer(bytes.subarray(-trailerBytes), identity, 81_920 + footer.length);
    return trailer && decodeFooter(bytes.subarray(0, trailer.footerBytes), trailer, identity);
  };
  t.same(readFooter(footer), [entry]);
  t.match(decodeSegmentHeader(segment), { identity });
  const cases = [
    {
      name: 'record header',
      bytes: header,
      length: header.length,
      read: (b: Buffer) => decodeRecordHeader(b, identity, 8192),
    },
    { name: 'segment header', bytes: segment, length: 60, read: decodeSegmentHeader },
    { name: 'footer', bytes: footer, length: footer.length, read: readFooter },
  ];
  for (const { bytes, length, name, read } of cases) {
    let found = 0;
    for (let bit = 0; bit < length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (read(damaged) === undefined) found++;
    }
    t.equal(found, length * 8, `${name}: flips found`);
    for (let cut = 0; cut < length; cut++)
      if (read(bytes.subarray(0, cut)) !== undefined) t.fail(`${name} cut at ${cut}`);
  }
});

void t.test('data begins at a memory page from 64 KiB on and behind its header below', async (t) => {
  t.match(recordLayoutOf(origin, 65_536), { dataOffsetBytes: 4096, recordBytes: 4096 + 65_536 + 4096 });
  t.match(recordLayoutOf(origin, 100), { headerBytes: 156, dataOffsetBytes: 160, recordBytes: 4096 });
  t.equal(recordLayoutOf(origin, 0), undefined);
  t.equal(recordLayoutOf(origin, 1.5), undefined);
});

void t.test('only names that the store gives are segments', async (t) => {
  t.equal(segmentFileNameOf(255), '00000000000000ff.seg');
  t.equal(segmentIdOf('00000000000000ff.seg'), 255);
  for (const name of ['ff.seg', '00000000000000FF.seg', '00000000000000ff.seg~', 'ffffffffffffffff.seg']) {
    t.equal(segmentIdOf(name), undefined, name);
  }
});
