/**
 * Every option of every process, one row each. From here come the parser, the checks, the types, `alluxio conf get` and
 * docs/options.md. Names are Alluxio's wherever it has one.
 */

import { logLevels } from './log-level.ts';

export const optionTypes = [
  'string',
  /** A file or directory; `~` stands for the home directory, a relative path counts from the working directory. */
  'path',
  'size',
  'duration',
  'integer',
  /** A share: `0.95`. */
  'decimal',
  'boolean',
  /** Texts, paths or sizes between commas. */
  'list',
  'path-list',
  'size-list',
  'enum',
] as const;

export type OptionType = (typeof optionTypes)[number];

export const optionReaders = ['cli', 'coordinator', 'worker'] as const;
export type OptionReader = (typeof optionReaders)[number];

export interface OptionRow {
  readonly name: string;
  readonly type: OptionType;
  /** As one would write it in the file; empty is "not set". May refer to another option: `${alluxio.work.dir}/x`. */
  readonly default: string;
  /** Bounds in the same notation as a value; for a list they hold for each element. */
  readonly min?: string;
  readonly max?: string;
  readonly powerOfTwo?: true;
  /** What an `enum` may be. */
  readonly values?: readonly string[];
  /** Its value is never printed. */
  readonly secret?: true;
  readonly help: string;
  readonly readBy: readonly OptionReader[];
}

const portBounds = { min: '0', max: '65535' } as const;

export const optionsTable = [
  {
    name: 'alluxio.work.dir',
    type: 'path',
    default: '~/.alluxio-ts',
    help: 'Directory that holds what a process keeps: state, tokens, and the cache unless placed elsewhere.',
    readBy: ['cli', 'coordinator', 'worker'],
  },
  {
    name: 'alluxio.conf.dir',
    type: 'path',
    default: '${alluxio.work.dir}',
    help: 'Directory of `alluxio-site.properties`. Set by environment or -D only, since it says where that file is; when it is set, the file must exist.',
    readBy: ['cli', 'coordinator', 'worker'],
  },
  {
    name: 'alluxio.cluster.name',
    type: 'string',
    default: 'DefaultAlluxioCluster',
    help: 'Name under which the members of a cluster find each other and keep their state.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.endpoints',
    type: 'list',
    default: '',
    help: 'The members of etcd, `http://host:2379` or `https://…` (a host name, not an address) with commas between. Empty: this machine is a cluster of its own and needs none.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.username',
    type: 'string',
    default: '',
    help: 'The user that etcd knows us by, with the right to read and write keys under `/alluxio-ts/`, `/ServiceDiscovery/` and `/DHT/`. Set it together with the password, or neither.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.password',
    type: 'string',
    secret: true,
    default: '',
    help: 'The password of that user; `@file` and `env:NAME` keep it out of the configuration.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.tls.ca.file',
    type: 'path',
    default: '',
    help: "PEM file with the certificates that vouch for etcd's. Empty: those that Node trusts.",
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.tls.cert.file',
    type: 'path',
    default: '',
    help: 'PEM file with our certificate, where etcd asks its clients for one.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.etcd.tls.key.file',
    type: 'path',
    default: '',
    help: 'PEM file with the key of that certificate, without a passphrase: PKCS8, as Alluxio wants it, or PKCS1.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.bind.host',
    type: 'string',
    default: '127.0.0.1',
    help: 'Address on which every port listens. `0.0.0.0` opens them to the network, where reads need no login.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.log.level',
    type: 'enum',
    values: logLevels,
    default: 'info',
    help: 'The least serious events that are logged. On a terminal, standalone starts from `warn` unless this is set. `alluxio conf log` changes it in a running process.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.audit.log.file',
    type: 'path',
    default: '',
    help: 'File to which the coordinator appends a JSON line for each changing call, also a refused one, beside the line of the log (event `audit`, level `info`). Empty: none.',
    readBy: ['coordinator'],
  },
  {
    name: 'alluxio.audit.log.size.max',
    type: 'size',
    default: '64MB',
    min: '64KB',
    help: 'How large that file may become; the next line begins a new one, and the old one stays beside it as `.1`.',
    readBy: ['coordinator'],
  },
  {
    name: 'alluxio.cluster.secret.file',
    type: 'path',
    default: '${alluxio.work.dir}/cluster.secret',
    help: 'File with the secret by which members of a cluster know each other; the same on every host. Made when it is missing, which is enough for one host.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.worker.hostname',
    type: 'string',
    default: '',
    help: 'Name or address under which clients and other workers reach this worker. Empty: the one that it listens on, or, when it listens on all, the address of its host name.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.coordinator.hostname',
    type: 'string',
    default: 'localhost',
    help: 'Where the command line finds the coordinator.',
    readBy: ['cli'],
  },
  {
    name: 'alluxio.coordinator.web.port',
    type: 'integer',
    default: '19999',
    ...portBounds,
    help: "Port of the coordinator's REST API, health and metrics; 0 takes any free one.",
    readBy: ['cli', 'coordinator'],
  },
  {
    name: 'alluxio.worker.rest.port',
    type: 'integer',
    default: '29998',
    ...portBounds,
    help: "Port of the worker's S3 API; 0 takes any free one.",
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.s3.redirect.enabled',
    type: 'boolean',
    default: 'false',
    help: 'Whether an S3 read at the wrong worker is answered by a 307 to the owner instead of being relayed. For clients that follow it: it halves the traffic between workers.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.http.server.port',
    type: 'integer',
    default: '28080',
    ...portBounds,
    help: "Port of the worker's REST API for files and pages; 0 takes any free one.",
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.web.port',
    type: 'integer',
    default: '30000',
    ...portBounds,
    help: "Port of the worker's health and metrics; 0 takes any free one.",
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.transport',
    type: 'enum',
    values: ['auto', 'hotpath', 'plain'],
    default: 'auto',
    help: 'What answers reads. `hotpath` is native and answers repeated hits by itself: Linux only, from a package of its own or built with Rust at `npm ci`. `plain` is TypeScript. `auto` takes hotpath where it is there. Where `hotpath` is set and missing, `plain` answers, and log and `info doctor` say why.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.identity.uuid.file.path',
    type: 'path',
    default: '${alluxio.work.dir}/worker_identity',
    help: 'File with the UUID of the worker, made when it is missing. Its place in the ring hangs on it: keep it over restarts, and give each worker its own.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.failure.detection.timeout',
    type: 'duration',
    min: '2s',
    max: '10m',
    default: '10s',
    help: 'For how long a worker that is silent is still taken for alive: the time of its lease in etcd.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.worker.selection.policy.consistent.hash.virtual.node.count.per.worker',
    type: 'integer',
    min: '1',
    max: '10000',
    default: '2000',
    help: 'Points of each worker on the ring. Clients that hash by themselves need the same number (alluxiofs takes 5 unless told; older Alluxio calls this `alluxio.user.consistent.hash.virtual.node.count.per.worker`). A change moves nearly all files to other owners.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.worker.selection.policy.consistent.hash.provider.impl',
    type: 'enum',
    values: ['DEFAULT', 'KETAMA', 'MULTI_PROBE'],
    default: 'DEFAULT',
    help: 'How the ring places files. A change moves nearly all files to other owners.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.dynamic.consistent.hash.ring.enabled',
    type: 'boolean',
    default: 'true',
    help: 'Whether only live workers are on the ring. Otherwise all registered ones are: a short absence moves no files, and those of the absent worker are read past the cache.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.dirs',
    type: 'path-list',
    default: '${alluxio.work.dir}/pages',
    help: 'Directories that hold cached pages, best one for each disk.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.sizes',
    type: 'size-list',
    default: '10GB',
    min: '64MB',
    help: 'How much each of these directories may hold, in the same order.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.evictor.type',
    type: 'enum',
    values: ['ADAPTIVE', 'LFU', 'LRU', 'FIFO'],
    default: 'ADAPTIVE',
    help: 'What stays when room is needed: LFU what is used often (made for training, which reads everything once an epoch; what a job that is over had goes first), LRU what was used last, FIFO what came in last. ADAPTIVE is LFU, and LRU for as long as a sample of the reads shows that it hits more.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.async.eviction.high.watermark',
    type: 'decimal',
    min: '0.5',
    max: '1',
    default: '0.97',
    help: 'Above this share of its size a cache directory begins to make room in the background, so that nobody waits for it; always before less than two segments are free (one, where there are few).',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.async.eviction.low.watermark',
    type: 'decimal',
    min: '0.5',
    max: '1',
    default: '0.95',
    help: 'Down to this share of its size it goes on. Lower where fills come in bursts that evictions cannot follow (alluxio_page_store_no_room_total grows); the room costs hits.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.scrub.bandwidth',
    type: 'size',
    default: '10MB',
    help: 'Bytes a second that each cache directory is read in the background, at most, to find and drop pages that the disk has damaged; 0 never. All pages are read once a day at most.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.page.store.page.size',
    type: 'size',
    default: '4MB',
    min: '64KB',
    max: '64MB',
    powerOfTwo: true,
    help: 'The size at which files are cut into pages. A cache that was filled with another size is emptied at start.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.direct.memory.size',
    type: 'size',
    default: '256MB',
    min: '1MB',
    help: 'Memory for pages that are being fetched. When it is in use, further reads go past the cache.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.answers.max',
    type: 'integer',
    default: '-1',
    min: '-1',
    max: '16384',
    help: 'Answers with a body that may be under way at once, as each holds buffers for as long as its client takes; who asks beyond them gets 503 with Retry-After. -1 takes as many as a quarter of the memory holds, from 64 to 4096.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.read.ahead.size.max',
    type: 'size',
    default: '32MB',
    max: '1GB',
    help: 'How much of a file is fetched ahead of a reader that goes through it in order, at most and with at most half of alluxio.worker.direct.memory.size; 0 fetches only what is asked for.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.fill.threads',
    type: 'integer',
    default: '-1',
    min: '-1',
    max: '64',
    help: 'Threads that fetch pages from under storages and leave the main thread to readers; 0 fetches in the main thread, -1 takes one where there are more than two processors.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.data.ufs.read.rate.limit.mb',
    type: 'integer',
    default: '0',
    min: '0',
    max: '1000000',
    help: 'MiB a second that this worker reads at most from all its under storages but local directories together, for readers and load jobs alike; 0 is no limit.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.ufs.hedged.read.enabled',
    type: 'boolean',
    default: 'false',
    help: 'Whether a read of an under storage (but a local directory) that has not begun to answer within the time that 98 % of its reads do is asked for a second time, and the first to begin is taken. One read in fifty at most.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.load.concurrency',
    type: 'integer',
    default: '24',
    min: '1',
    max: '1024',
    help: 'Pages that load jobs may fetch at once on a worker, and at most half of alluxio.worker.direct.memory.size.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.load.readers.first',
    type: 'boolean',
    default: 'true',
    help: "Whether load jobs give way while files are read: they fetch as much as does not raise the 99th percentile of the readers' times more than twice, however little that is. false has them go on as fast as they can.",
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.metadata.default.max.age',
    type: 'duration',
    default: '60s',
    help: 'How long a file is taken as unchanged before the under storage is asked again.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.metadata.stale.if.error.max',
    type: 'duration',
    default: '1h',
    help: 'How long past that age cached data is still served while the under storage cannot be asked; 0 never.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.dora.worker.metastore.rocksdb.dir',
    type: 'path',
    default: '${alluxio.work.dir}/metastore',
    help: "Directory of what is known of files: their versions and headers. (The name is Alluxio's; the database is SQLite.)",
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.client.cache.filter.enabled',
    type: 'boolean',
    default: 'false',
    help: 'Whether the rules of the cache filter file decide what is kept and for how long it is trusted, where no rule of the cluster (`alluxio rule`) does.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.client.cache.filter.type',
    type: 'enum',
    values: ['RULE_SET'],
    default: 'RULE_SET',
    help: 'The kind of the cache filter file.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.client.cache.filter.config.file',
    type: 'path',
    default: '${alluxio.conf.dir}/cache_filter.json',
    help: 'The cache filter file; docs/semantics.md says what its rules mean.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.user.client.cache.filter.config.check.interval',
    type: 'duration',
    default: '10s',
    min: '100ms',
    help: 'How often the cache filter file is looked at for a change.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.ttl.policy.enabled',
    type: 'boolean',
    default: 'true',
    help: 'Whether the worker drops files whose time is over by the TTL rules of the cluster (`alluxio ttl`). In Alluxio this is off unless it is set.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.ttl.eviction.check.interval',
    type: 'duration',
    default: '1h',
    min: '1s',
    max: '7d',
    help: 'How often the worker looks for files whose time is over; `alluxio ttl` warns of a shorter time.',
    readBy: ['cli', 'worker'],
  },
  {
    name: 'alluxio.worker.ufs.info.credentials.enabled',
    type: 'boolean',
    default: 'false',
    help: 'Whether `/v1/ufsInfo` gives the credentials of mounts to whoever asks. alluxiofs needs them for its own fallback to the under storage.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.worker.access.log.enabled',
    type: 'boolean',
    default: 'false',
    help: 'Whether every answer of the S3 and REST ports is a line of the log (event `access`, level `info`): operation, path, status, bytes, duration, outcome, request id, client.',
    readBy: ['worker'],
  },
  {
    name: 'alluxio.ufs.local.allowed.roots',
    type: 'path-list',
    default: '',
    help: 'Local directories that may be mounted, with everything below them. Empty: none.',
    readBy: ['coordinator', 'worker'],
  },
  {
    name: 'alluxio.security.admin.open',
    type: 'boolean',
    default: 'false',
    help: 'Lets anyone who reaches the coordinator change mounts, rules and the cache, without the admin token.',
    readBy: ['coordinator'],
  },
  {
    name: 'alluxio.security.admin.token.file',
    type: 'path',
    default: '${alluxio.work.dir}/admin.token',
    help: 'File with the token that changing calls must carry. Standalone makes it when it is missing.',
    readBy: ['cli', 'coordinator'],
  },
  {
    name: 'alluxio.security.key.file',
    type: 'path',
    default: '${alluxio.work.dir}/secret.key',
    help: 'File with the 32 bytes under which secrets of mounts are sealed in the state store. Standalone makes it when it is missing.',
    readBy: ['coordinator', 'worker'],
  },
] as const satisfies readonly OptionRow[];

export type OptionName = (typeof optionsTable)[number]['name'];

type RowOf<Name extends OptionName> = Extract<(typeof optionsTable)[number], { readonly name: Name }>;

/** What `get` gives for an option: sizes in bytes, durations in milliseconds, paths absolute. */
export type OptionValue<Name extends OptionName> = ValueOfRow<RowOf<Name>>;

type ValueOfRow<Row extends OptionRow> = Row extends {
  readonly type: 'enum';
  readonly values: readonly (infer Value)[];
}
  ? Value
  : Row['type'] extends 'string' | 'path'
    ? string
    : Row['type'] extends 'size' | 'duration' | 'integer' | 'decimal'
      ? number
      : Row['type'] extends 'boolean'
        ? boolean
        : Row['type'] extends 'list' | 'path-list'
          ? readonly string[]
          : Row['type'] extends 'size-list'
            ? readonly number[]
            : never;
