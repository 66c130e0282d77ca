/**
 * Calls to etcd with a deadline on each, over the members of its cluster, and the one place that turns its failures into ours.
 *
 * Of the package etcd3 only the calls are used, with its pool of connections, tokens and circuit breakers. Its own retries repeat transactions
 * that may have happened, its watches resume behind events that they never delivered, and its leases report their loss late:
 * those parts are written anew beside this file.
 */

import { isIP } from 'node:net';
import {
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  type ICircuitBreakerOptions,
  isBrokenCircuitError,
  noop,
} from 'cockatiel';
import {
  Etcd3,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCResourceExhastedError,
  GRPCUnauthenticatedError,
  GRPCUnavailableError,
  type IOptions,
  isRecoverableError,
} from 'etcd3';
import type { Clock } from '../clock.ts';
import { AlluxioError } from '../errors.ts';

export interface EtcdConnectionOptions {
  /** `http://host:2379` or `https://…`, all of one kind. */
  readonly endpoints: readonly string[];
  readonly auth?: { readonly username: string; readonly password: string };
  /** PEM: who signed etcd's certificate; our own certificate and its PKCS8 key where etcd asks for one. */
  readonly tls?: { readonly ca: string; readonly certificate?: string; readonly key?: string };
  readonly clock: Clock;
}

/** The seam's promise for every call. */
export const callTimeoutMs = 2000;

/** With more than one member a read that one of them does not answer has time for the others. */
const tryTimeoutMs = 700;
const triesMax = 5;
const retryPauseMs = 100;

/**
 * A member that failed so often in a row is left alone for so long. Where there are others once is enough, so that the next try finds another
 * one, and the time grows with each failed probe: the probe of a frozen member costs a call its time.
 */
const breakerFailuresAlone = 3;
const breakerHalfOpenMs = 500;
const breakerHalfOpenMaxMs = 5000;

/** Less is a correction of the clock as it happens all the time. */
const setBackMinMs = 1000;

/** etcd refuses clients that ping more often than every 5 s; both together are below the time of a worker's lease. */
const keepaliveTimeMs = 6000;
const keepaliveTimeoutMs = 2500;

/** Callers that would wait beyond these are told at once. */
const callsMax = 1000;

export interface EtcdCallOptions {
  /** What was asked, for the message of a failure: `reading /mounts/a`. */
  readonly what: string;
  /** Whether the call may happen twice. One that may not is repeated only when it surely did not reach etcd. */
  readonly repeatable: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

type EtcdRun<T> = (client: Etcd3, options: { readonly deadline: number }) => Promise<T>;

export class EtcdConnection {
  readonly #options: EtcdConnectionOptions;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  #client: Etcd3;
  /** The wall clock less the monotonic one when the client was made. */
  #wallOffsetMs: number;
  #callCount = 0;

  /** Throws InvalidOptions for endpoints that are none. Connects with the first call. */
  constructor(options: EtcdConnectionOptions) {
    this.#options = { ...options, endpoints: checkedEndpoints(options) };
    this.#clock = options.clock;
    this.#wallOffsetMs = this.#wallOffset();
    this.#client = this.#newClient();
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** The client of now; one that was replaced still ends what it had begun. */
  get client(): Etcd3 {
    // Its circuit breakers go by the wall clock: where that was set back, one that is open would stay so until the old time has come again.
    if (this.#wallOffset() < this.#wallOffsetMs - setBackMinMs) this.#renewClient();
    return this.#client;
  }

  async call<T>(options: EtcdCallOptions, run: EtcdRun<T>): Promise<T> {
    options.signal?.throwIfAborted();
    if (this.isClosed) throw new AlluxioError('StateStoreUnavailable', 'the state store is closed');
    if (this.#callCount >= callsMax) {
      throw new AlluxioError('Overloaded', 'too many calls wait for the state store', { retryAfterMs: 1000 });
    }
    this.#callCount++;
    try {
      return await this.#repeat(options, run);
    } finally {
      this.#callCount--;
    }
  }

  /**
   * The result if it comes in time. Whoever waits is told of the end of time, the signal and the connection; what was begun goes on without
   * them until its own deadline.
   */
  async inTime<T>(options: EtcdCallOptions, result: Promise<T>): Promise<T> {
    const timeoutMs = options.timeoutMs ?? callTimeoutMs;
    const settled = new AbortController();
    const signals = [settled.signal, this.#closed.signal, ...(options.signal ? [options.signal] : [])];
    const timer = this.#clock.sleep(timeoutMs, { signal: AbortSignal.any(signals) }).then(() => {
      throw new TryTimeout(`no answer within ${Math.round(timeoutMs)} ms`);
    });
    try {
      return await Promise.race([result, timer]);
    } catch (thrown) {
      options.signal?.throwIfAborted();
      throw thrown;
    } finally {
      settled.abort();
    }
  }

  toAlluxioError(thrown: unknown, what: string): AlluxioError {
    if (thrown instanceof AlluxioError) return thrown;
    if (this.isClosed) return new AlluxioError('StateStoreUnavailable', 'the state store is closed');
    return foreignError(thrown, what, this.#options.endpoints);
  }

  close(): void {
    this.#closed.abort(new Error('the state store is closed'));
    this.#client.close();
  }

  async #repeat<T>(options: EtcdCallOptions, run: EtcdRun<T>): Promise<T> {
    const endAt = this.#clock.monotonic() + (options.timeoutMs ?? callTimeoutMs);
    const isHedged = options.repeatable && this.#options.endpoints.length > 1;
    let failure: unknown;
    for (let attempt = 1; ; attempt++) {
      const leftMs = Math.max(1, endAt - this.#clock.monotonic());
      const timeoutMs = isHedged && attempt < triesMax ? Math.min(tryTimeoutMs, leftMs) : leftMs;
      try {
        // The wall clock, since gRPC reckons with it.
        const result = run(this.client, { deadline: this.#clock.now() + timeoutMs });
        return await this.inTime({ ...options, timeoutMs }, result);
      } catch (thrown) {
        options.signal?.throwIfAborted();
        // An open circuit only says that there were failures before; what they were says more.
        if (!isBrokenCircuitError(thrown) && (failure === undefined || !isWithoutReason(thrown)))
          failure = thrown;
        const isSpent = attempt >= triesMax || endAt - this.#clock.monotonic() <= retryPauseMs;
        if (this.isClosed || isSpent || !this.#mayRepeat(thrown, options))
          throw this.toAlluxioError(failure ?? thrown, options.what);
        const { signal } = options;
        await this.#clock.sleep(retryPauseMs, signal ? { signal } : {});
      }
    }
  }

  #mayRepeat(thrown: unknown, { repeatable }: EtcdCallOptions): boolean {
    if (isStaleToken(thrown)) {
      // The package forgets only a token that etcd calls invalid; after users or roles changed the old one is refused in other words.
      this.#renewClient();
      return true;
    }
    if (isBrokenCircuitError(thrown) || isNeverSent(thrown)) return true;
    return repeatable && (thrown instanceof TryTimeout || isPassing(thrown));
  }

  #renewClient(): void {
    this.#wallOffsetMs = this.#wallOffset();
    this.#client.close();
    this.#client = this.#newClient();
  }

  #wallOffset(): number {
    return this.#clock.now() - this.#clock.monotonic();
  }

  #newClient(): Etcd3 {
    const { auth, tls, endpoints, clock } = this.#options;
    const options: IOptions = {
      hosts: [...endpoints],
      ...(auth ? { auth: { username: auth.username, password: auth.password } } : {}),
      ...(tls ? { credentials: credentialsOf(tls) } : {}),
      grpcOptions: {
        'grpc.keepalive_time_ms': keepaliveTimeMs,
        'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.min_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 1000,
      },
      // For the exchange of password for token too, which takes no options of the call.
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: clock.now() + callTimeoutMs }),
      faultHandling: {
        host: () => circuitBreaker(handleWhen(isPassing), breakerOptions(endpoints.length > 1)),
        global: noop,
      },
    };
    return new Etcd3(options);
  }
}

class TryTimeout extends Error {}

function breakerOptions(hasOthers: boolean): ICircuitBreakerOptions {
  if (!hasOthers) {
    return { halfOpenAfter: breakerHalfOpenMs, breaker: new ConsecutiveBreaker(breakerFailuresAlone) };
  }
  const halfOpenAfter = new ExponentialBackoff({
    initialDelay: breakerHalfOpenMs,
    maxDelay: breakerHalfOpenMaxMs,
  });
  return { halfOpenAfter, breaker: new ConsecutiveBreaker(1) };
}

function checkedEndpoints({ endpoints, tls }: EtcdConnectionOptions): readonly string[] {
  if (endpoints.length === 0) throw invalidEndpoints('names none');
  const urls = endpoints.map((endpoint) => {
    const url = URL.parse(endpoint);
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.hostname === '')
      throw invalidEndpoints('is not a list of http://host:port');
    if (url.username !== '' || url.password !== '')
      throw invalidEndpoints('holds a user or password; set alluxio.etcd.username and .password instead');
    return `${url.protocol}//${url.hostname}:${url.port || (url.protocol === 'http:' ? '80' : '443')}`;
  });
  const secureCount = urls.filter((url) => url.startsWith('https:')).length;
  if (secureCount !== 0 && secureCount !== urls.length) throw invalidEndpoints('mixes http and https');
  // Node takes no address for the name that a TLS server is asked by, and the gRPC library gives it nothing else.
  if (
    endpoints.some((endpoint) => URL.parse(endpoint)?.protocol === 'https:' && isIP(hostOf(endpoint)) !== 0)
  )
    throw invalidEndpoints('has https with an IP address; name a host that the certificate of etcd is for');
  if (tls && secureCount === 0) throw invalidEndpoints('names http although TLS is set up; use https');
  return urls;
}

function hostOf(endpoint: string): string {
  return URL.parse(endpoint)?.hostname.replace(/^\[|\]$/g, '') ?? '';
}

function invalidEndpoints(fault: string): AlluxioError {
  return new AlluxioError('InvalidOptions', `alluxio.etcd.endpoints ${fault}`);
}

function credentialsOf(tls: {
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
}): NonNullable<IOptions['credentials']> {
  if ((tls.certificate === undefined) !== (tls.key === undefined)) {
    throw new AlluxioError(
      'InvalidOptions',
      'the TLS certificate for etcd and its key go together; set both',
    );
  }
  return {
    rootCertificate: Buffer.from(tls.ca),
    ...(tls.certificate === undefined ? {} : { certChain: Buffer.from(tls.certificate) }),
    ...(tls.key === undefined ? {} : { privateKey: Buffer.from(tls.key) }),
  };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** An exhausted resource is that of the request (an answer beyond gRPC's bound) or the disk: asking again, or elsewhere, gives the same. */
function isPassing(thrown: unknown): boolean {
  return (
    thrown instanceof Error && isRecoverableError(thrown) && !(thrown instanceof GRPCResourceExhastedError)
  );
}

function isStaleToken(thrown: unknown): boolean {
  return (
    messageOf(thrown).includes('revision of auth store is old') || thrown instanceof EtcdInvalidAuthTokenError
  );
}

/** Of a connection that failed for somebody else before, the gRPC library no longer knows why. */
function isWithoutReason(thrown: unknown): boolean {
  return messageOf(thrown).includes('Last error: null');
}

/** The only words by which the gRPC library says that no connection was made, so that nothing can have happened. */
function isNeverSent(thrown: unknown): boolean {
  return thrown instanceof GRPCUnavailableError && messageOf(thrown).includes('No connection established');
}

/** Parts of etcd's messages and what they mean here. Its codes are too coarse: the same one stands for different things. */
const meanings = [
  ['has been compacted', compacted],
  [
    'requested lease not found',
    () => new AlluxioError('StateConflict', 'the lease under which something was to be put is over'),
  ],
  [
    'request is too large',
    () =>
      new AlluxioError('InvalidArgument', 'the transaction is larger than etcd takes (--max-request-bytes)'),
  ],
  [
    'too many operations in txn',
    () =>
      new AlluxioError(
        'InvalidArgument',
        'the transaction has more operations than etcd takes (--max-txn-ops)',
      ),
  ],
  [
    'database space exceeded',
    () => unavailable('etcd is out of space; compact and defragment it, then disarm its alarm', 'never'),
  ],
] as const satisfies readonly (readonly [string, () => AlluxioError])[];

function foreignError(thrown: unknown, what: string, endpoints: readonly string[]): AlluxioError {
  const text = messageOf(thrown);
  const meaning = meanings.find(([part]) => text.includes(part));
  if (meaning) return meaning[1]();
  if (thrown instanceof EtcdLeaseInvalidError) return meanings[1][1]();
  if (isRefusal(thrown)) {
    return unavailable(
      `etcd refuses us at ${what} (${text}); check alluxio.etcd.username, .password and the rights of that user`,
      'never',
      thrown,
    );
  }
  const where = endpoints.join(', ');
  const distrust = distrustOf(text);
  if (distrust)
    return unavailable(`${what} failed: ${distrust.replace('etcd', `etcd at ${where}`)}`, 'never', thrown);
  return unavailable(
    `${what} failed, since etcd at ${where} did not answer (${text}); check that it runs and that alluxio.etcd.endpoints names it`,
    'later',
    thrown,
  );
}

/** Which side does not trust the other's certificate, and what to do about it. */
function distrustOf(text: string): string | undefined {
  if (/SSL alert|tlsv1\d? alert|:alert /i.test(text))
    return 'etcd refuses our certificate, or misses one; set alluxio.etcd.tls.cert.file and .key.file to a pair that its --trusted-ca-file vouches for';
  const reason =
    /self-signed certificate[a-z ]*|unable to (?:verify|get)[a-z ]*certificate|certificate has expired|altnames/i.exec(
      text,
    )?.[0];
  if (reason === undefined) return undefined;
  if (/altnames/i.test(reason))
    return 'the certificate of etcd is for another host; name in alluxio.etcd.endpoints the host that it is for';
  return `the certificate of etcd is not one that we trust (${reason}); set alluxio.etcd.tls.ca.file to the certificates that vouch for it`;
}

function isRefusal(thrown: unknown): boolean {
  return (
    thrown instanceof EtcdAuthenticationFailedError ||
    thrown instanceof EtcdPermissionDeniedError ||
    thrown instanceof GRPCUnauthenticatedError ||
    messageOf(thrown).includes('user name is empty')
  );
}

export function compacted(): AlluxioError {
  return new AlluxioError(
    'StateConflict',
    'the state store no longer keeps the changes that were asked for; list again and watch from there',
  );
}

function unavailable(message: string, retry: 'never' | 'later', cause?: unknown): AlluxioError {
  return new AlluxioError('StateStoreUnavailable', message, {
    retry,
    ...(cause === undefined ? {} : { cause }),
  });
}
