/** The Range header (RFC 9110 §14). As S3 does, a header that is not a single well-formed range of bytes is ignored. */

export type ByteRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly from: number; readonly to: number }
  | { readonly kind: 'unsatisfiable' };

/** No file is longer. */
const offsetMax = 2 ** 43;

/** Where a header's range begins, whatever the size of the file; undefined when that depends on the size. */
export function firstByteOf(header: string | undefined): number | undefined {
  const match = /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '');
  if (!match) return 0;
  const first = match[1] === '' ? Number.NaN : Number(match[1]);
  return first <= offsetMax ? first : undefined;
}

/** Bytes [from, to) of a file of this size. */
export function parseByteRange(header: string | undefined, sizeBytes: number): ByteRange {
  const match = /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '');
  const first = match?.[1] ?? '';
  const last = match?.[2] ?? '';
  if (!match || (first === '' && last === '')) return { kind: 'whole' };
  if (first === '') {
    const count = Number(last);
    if (count === 0 || sizeBytes === 0) return { kind: 'unsatisfiable' };
    return { kind: 'part', from: Math.max(0, sizeBytes - count), to: sizeBytes };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return { kind: 'whole' };
  if (from >= sizeBytes) return { kind: 'unsatisfiable' };
  const to = last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return { kind: 'part', from, to };
}
