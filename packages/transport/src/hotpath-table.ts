/**
 * What the native half of the hot path is told of answers, so that it gives the next ones alone: pages and heads of files that are read here, and where files are read
 * that others have. What it was told holds until `drop` says otherwise, or its time is over; what is used often is renewed before. docs/decisions/0003-hotpath-seam.md.
 */

import { lookup } from 'node:dns/promises';
import type { Clock } from '@alluxio-ts/common/clock';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { Logger } from '@alluxio-ts/common/logger';
import type { FileKey } from '@alluxio-ts/common/page';
import type { ExtentPart } from './body-sender.ts';
import { headerLines } from './header-lines.ts';
import type { NativeEntry, NativeHotpath, NativeRequest } from './hotpath-native.ts';
import type {
  Dropped,
  HeaderList,
  ReusableAnswer,
  ReusableRoute,
  TransportResponse,
} from './page-transport.ts';

export interface HotpathTableOptions {
  readonly native: NativeHotpath;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An entry is made anew after this time however long its file may be trusted. */
const entryAgeMaxMs = 600_000;

/** An entry is renewed so long before it runs out, at most half its time: long enough for a storage that is slow to answer. */
export const renewAheadMaxMs = 10_000;

/** At once; an entry for which there is no room runs out, unless it is used again some seconds later. */
const renewalsMax = 32;

export class HotpathTable {
  readonly #options: HotpathTableOptions;
  /** How often routes were dropped: what was found out before is not put after. */
  #routesDropCount = 0;
  #renewalCount = 0;
  #isClosed = false;

  constructor(options: HotpathTableOptions) {
    this.#options = options;
  }

  get routesDropCount(): number {
    return this.#routesDropCount;
  }

  drop(dropped: Dropped): void {
    const { native } = this.#options;
    switch (dropped.kind) {
      case 'file':
        native.dropFile(wordsOf(dropped.fileKey));
        return;
      case 'segment':
        native.dropSegment(dropped.path);
        return;
      case 'routes':
        this.#routesDropCount++;
        native.dropRoutes();
        return;
      case 'all':
        this.#routesDropCount++;
        native.dropAll();
        return;
      default:
        dropped satisfies never;
    }
  }

  /** Nothing is taken in from now on. */
  close(): void {
    this.#isClosed = true;
  }

  /** Takes a page in, if it and the answer still hold: nothing runs between the question and the answer to it, and whoever changes either calls `drop` when they do. */
  learn(request: NativeRequest, response: TransportResponse, { handle }: ExtentPart, offset: number): void {
    const reusable = response.reusable?.();
    const page = handle.native;
    if (!reusable || !page) return;
    const { checksums, path, offset: pageOffset, lengthBytes } = page;
    const index = pageIndexOf(reusable, offset);
    this.#put(request, reusable, [{ index, path, offset: pageOffset, lengthBytes, checksums }]);
  }

  /** Asks once more for what the table has answered, so that its entry holds for longer; nobody reads that answer's body. Never fails. */
  async renew(request: NativeRequest, ask: () => Promise<TransportResponse>): Promise<void> {
    if (this.#renewalCount >= renewalsMax) return;
    this.#renewalCount++;
    try {
      const { body, reusable } = await ask();
      if (body.kind === 'parts') body.close();
      const renewed = reusable?.();
      if (renewed) this.#put(request, renewed, []);
    } catch (thrown) {
      const target = loggableTarget(request.target);
      this.#options.logger.warn({ target, error: thrown }, 'renewal-failed');
    } finally {
      this.#renewalCount--;
    }
  }

  /** Beside the pages that are given, those of the same version that the table has of the target stay; without any there is no entry. */
  #put({ listener, target }: NativeRequest, reusable: ReusableAnswer, pages: NativeEntry['pages']): void {
    const { clock, native } = this.#options;
    if (this.#isClosed) return;
    const freshForMs = Math.min(reusable.freshUntilMs - clock.monotonic(), entryAgeMaxMs);
    if (freshForMs <= 0) return;
    native.put({
      listener,
      target,
      fileKey: wordsOf(reusable.fileKey),
      sizeBytes: reusable.sizeBytes,
      pageSizeBytes: reusable.pageSizeBytes,
      freshForMs,
      renewInMs: freshForMs - Math.min(renewAheadMaxMs, freshForMs / 2),
      headers: headerLines(reusable.headers),
      bodyHeaders: headerLines(reusable.bodyHeaders),
      requestIdHeader: `${reusable.requestIdHeader}: `,
      etag: reusable.etag ?? '',
      ...(reusable.window ? { window: reusable.window } : {}),
      pages,
    });
  }

  /** Has further requests for the target passed on natively, if no route was dropped since there were so many drops. Never fails. */
  async learnRoute(
    { listener, method, target }: NativeRequest,
    { reusableRoute }: TransportResponse,
    routesDropCount: number,
  ): Promise<void> {
    const { clock, native } = this.#options;
    const route = reusableRoute?.();
    if (!route) return;
    const freshUntilMs = clock.monotonic() + route.validForMs;
    const found = await lookup(route.host).catch(() => undefined);
    const freshForMs = freshUntilMs - clock.monotonic();
    if (!found || freshForMs <= 0 || this.#isClosed || routesDropCount !== this.#routesDropCount) return;
    const headers: HeaderList = [['host', hostOf(route)], ...route.headers];
    native.putRoute({
      listener,
      method,
      target,
      address: found.address,
      port: route.port,
      request: `${method} ${route.target} HTTP/1.1\r\n${headerLines(headers)}`,
      requestIdHeader: `${route.requestIdHeader}: `,
      freshForMs,
    });
  }
}

function hostOf({ host, port }: ReusableRoute): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function pageIndexOf(reusable: ReusableAnswer, offset: number): number {
  return Math.floor((reusable.bodyFrom + offset) / reusable.pageSizeBytes);
}

function wordsOf({ a, b, c }: FileKey): readonly number[] {
  return [a, b, c];
}
