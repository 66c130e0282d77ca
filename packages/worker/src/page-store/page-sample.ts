/** A sample of pages, chosen by hash (SHARDS): the same ones whenever they are asked for. */

import type { PageId } from '@alluxio-ts/common/page';
import { hashOfWords } from '@alluxio-ts/common/row-table';

/**
 * Whether a page is the one of so many. The odd factor spreads the choice over bits of its own: tables place a page by the low ones of the same hash, and would have a sample that has those in common
 * in a few long runs. Samples with different factors do not choose alike.
 */
export function isSampled({ file, index }: PageId, factor: number, pagesPerSample: number): boolean {
  return Math.imul(hashOfWords(file.a, index), factor) >>> 0 < 2 ** 32 / pagesPerSample;
}
