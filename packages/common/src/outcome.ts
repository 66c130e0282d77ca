/**
 * What a read did: one closed list, and the same word in the log, the metric label and the `x-alluxio-cache`
 * header. A read of several pages has one outcome a page; the header carries that of the page with the first byte.
 */
export const outcomes = [
  /** The page was here and its version fresh. */
  'hit',
  /** The page was here; the under storage could not be asked whether it still is the newest. */
  'hit-stale',
  /** Another worker owns the file and had it. */
  'hit-peer',
  /** Fetched from the under storage and kept. */
  'miss',
  /** Another reader was already fetching the page; this one joined. */
  'miss-joined',
  /** A rule says that this file is not cached. */
  'bypass-filter',
  /** No cache directory can take the page. */
  'bypass-disk',
  /** The worker that owns the file cannot be reached. */
  'bypass-owner-down',
  /** The quota of the path, or the memory for fills, is used up. */
  'bypass-quota',
  /** The file has no version that could be held to, so its bytes may not be kept. */
  'bypass-version',
] as const;

export type Outcome = (typeof outcomes)[number];
