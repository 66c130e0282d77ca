/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio __complete --help 1`] = `
Usage: alluxio __complete [options] <shell> [words...]

Prints candidates for the last word of a line; for the scripts of "alluxio completion".

Arguments:
  shell       which one (choices: "bash", "zsh", "fish")
  words       the line; of bash what parts words, and the line itself

Options:
  -h, --help  display help for command

Examples:
  alluxio __complete zsh -- fs st


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio --help 1`] = `
Usage: alluxio [options] [command]

Distributed read cache between compute and storage.

Options:
  -h, --help            display help for command

Commands:
  standalone [options]  Runs coordinator and worker in one process, on 127.0.0.1 unless configured
                        otherwise.
  mount                 Binds paths of the namespace to under storages.
  rule                  Says which files are kept in the cache, and for how long they are taken as
                        unchanged.
  ttl                   Says how long files may stay in the cache, counted from when they were
                        loaded.
  fs                    Looks at files and reads them through the cache. A path is one of the
                        namespace (/s3/dir/a) or of the under storage (s3://bucket/dir/a).
  job                   Loads files into the cache ahead of their readers, and frees them.
  process               Runs the processes of a cluster.
  cache                 Empties caches. What is in the under storage stays as it is.
  conf                  Shows the configuration, and how much the processes log.
  info                  Shows facts about this installation and its cluster.
  exec                  Tries a storage, or the cluster, for real.
  init                  Prepares this machine for the processes that are to run on it.
  completion <shell>    Prints a script that completes commands, flags and paths for a shell.
  help [command]        display help for command

Anywhere on the line:
  -Dname=value        sets an option; "alluxio conf get --source" lists them all

Exit code: 0, or 1 for any failure, whose reason is one line on standard error; with --json an object of code
and message.

Examples:
  alluxio mount add --path /s3 --ufs-uri s3://bucket/dir --option alluxio.underfs.s3.region=us-east-1
  alluxio mount list
  alluxio fs ls -R /s3/dir
  alluxio fs cat /s3/dir/file.csv
  alluxio cache free --path /s3/dir
  alluxio info report
  alluxio -Dalluxio.coordinator.hostname=cache-1 mount list


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio cache --help 1`] = `
Usage: alluxio cache [options] [command]

Empties caches. What is in the under storage stays as it is.

Options:
  -h, --help        display help for command

Commands:
  free [options]    Drops what is cached below a path, or everything that one worker has cached.
  format [options]  Drops everything that any worker has cached: all pages and all that is known of
                    files.
  help [command]    display help for command

Examples:
  alluxio cache free --path /s3/dir
  alluxio cache format


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio cache format --help 1`] = `
Usage: alluxio cache format [options]

Drops everything that any worker has cached: all pages and all that is known of files.

Options:
  --json      as JSON
  -h, --help  display help for command

Asks nothing and needs the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio cache format


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio cache free --help 1`] = `
Usage: alluxio cache free [options]

Drops what is cached below a path, or everything that one worker has cached.

Options:
  --path <path>      a path of the namespace or of the under storage, on every worker
  --worker <worker>  the id, the host, or host:port of a worker
  --json             as JSON
  -h, --help         display help for command

Needs the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio cache free --path /s3/dir
  alluxio cache free --path s3://bucket/dir/file.csv
  alluxio cache free --worker cache-1


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio completion --help 1`] = `
Usage: alluxio completion [options] <shell>

Prints a script that completes commands, flags and paths for a shell.

Arguments:
  shell       which one (choices: "bash", "zsh", "fish")

Options:
  -h, --help  display help for command

A path is completed by the running cluster, if it answers within half a second.

Examples:
  source <(alluxio completion bash)
  source <(alluxio completion zsh)
  alluxio completion fish > ~/.config/fish/completions/alluxio.fish


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio conf --help 1`] = `
Usage: alluxio conf [options] [command]

Shows the configuration, and how much the processes log.

Options:
  -h, --help              display help for command

Commands:
  get [options] [option]  Prints the value of an option, or all of them; secrets as xxx.
  log [options]           Prints how much the processes log, or changes it until they start again.
  help [command]          display help for command

Examples:
  alluxio conf get
  alluxio conf log --level debug


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio conf get --help 1`] = `
Usage: alluxio conf get [options] [option]

Prints the value of an option, or all of them; secrets as xxx.

Arguments:
  option      its name

Options:
  --source    print where a value comes from
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio conf get
  alluxio conf get alluxio.worker.page.store.page.size --source


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio conf log --help 1`] = `
Usage: alluxio conf log [options]

Prints how much the processes log, or changes it until they start again.

Options:
  --level <level>    what they log from now on: debug, info, warn, error, silent
  --target <target>  coordinator, worker (all that are online), or the id of a worker
  --name <logger>    accepted and without effect: a process has one logger
  --json             as JSON
  -h, --help         display help for command

Without --target it is of the coordinator and all workers that are online. A change needs the admin token and
lasts until the process starts again; alluxio.log.level says what it starts with. There is one logger a
process, so --name chooses nothing.

Examples:
  alluxio conf log
  alluxio conf log --level debug --target worker-25a2f9ac-87b1-445f-880f-8688567ee153


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio exec --help 1`] = `
Usage: alluxio exec [options] [command]

Tries a storage, or the cluster, for real.

Options:
  -h, --help             display help for command

Commands:
  ufsTest [options]      Tries what a mount needs of its storage, from this machine.
  basicIOTest [options]  Reads the files below a path through the cluster, and says how fast that
                         was.
  help [command]         display help for command

Examples:
  alluxio exec ufsTest --path s3://bucket/dir --option alluxio.underfs.s3.region=us-east-1
  alluxio exec basicIOTest --path /s3/dir


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio exec basicIOTest --help 1`] = `
Usage: alluxio exec basicIOTest [options]

Reads the files below a path through the cluster, and says how fast that was.

Options:
  --path <path>  a file or directory, of the namespace or of the under storage
  --threads <n>  files read at once (default: 4)
  --seconds <n>  for how long (default: 10)
  --json         as JSON
  -h, --help     display help for command

Files are drawn by chance, of the first 10,000, and read whole, over the REST API of the workers by turns. What
is under way when the time is over is counted as far as it came. Exit code 1 when a read failed.

Examples:
  alluxio exec basicIOTest --path /s3/dir
  alluxio exec basicIOTest --path /s3/dir --threads 16 --seconds 60 --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio exec ufsTest --help 1`] = `
Usage: alluxio exec ufsTest [options]

Tries what a mount needs of its storage, from this machine.

Options:
  --path <uri>           a URI such as s3://bucket/dir or file:///dir, or the path of a mount
  --option <name=value>  an option of the under storage; may be repeated (default: {})
  --write                write a few files as well, and remove them
  --json                 as JSON
  -h, --help             display help for command

A value may be @file (the text of that file) or env:NAME (that environment variable), which keeps secrets
off the command line; one that begins so itself must be given in one of these ways.

Of a mount its options are taken, but for secrets, which have to be given. Exit code 1 when something failed.

Examples:
  alluxio exec ufsTest --path file:///mnt/nas/data
  alluxio exec ufsTest --path /s3 --option s3a.accessKeyId=env:KEY_ID --option s3a.secretKey=@key.txt
  alluxio exec ufsTest --path s3://bucket/tmp --option alluxio.underfs.s3.region=us-east-1 --write


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs --help 1`] = `
Usage: alluxio fs [options] [command]

Looks at files and reads them through the cache. A path is one of the namespace (/s3/dir/a) or of
the under storage (s3://bucket/dir/a).

Options:
  -h, --help                      display help for command

Commands:
  ls [options] <path>             Lists what lies in a directory: mode, size, time (UTC), kind,
                                  path.
  stat [options] [path]           Shows what is known of a file or directory.
  cat <path>                      Writes a file to standard output.
  head [options] <path>           Writes the first bytes of a file to standard output.
  tail [options] <path>           Writes the last bytes of a file to standard output.
  cp [options] <source> <target>  Copies a file of the namespace to a local file or directory.
                                  Writing to the namespace is not offered.
  test [options] <path>           Tells by the exit code whether a path is what the flags say: 0
                                  when all of them hold, else 1.
  location [options] <path>       Shows which worker owns a file, as host:port of its REST API.
  check-cached [options] <path>   Shows how much of the files below a path is cached.
  help [command]                  display help for command

Examples:
  alluxio fs ls /s3
  alluxio fs cat /s3/dir/a.csv
  alluxio fs stat s3://bucket/dir/a.csv


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs cat --help 1`] = `
Usage: alluxio fs cat [options] <path>

Writes a file to standard output.

Arguments:
  path        the file

Options:
  -h, --help  display help for command

Examples:
  alluxio fs cat /s3/dir/a.csv
  alluxio fs cat s3://bucket/dir/a.tar | tar -t


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs check-cached --help 1`] = `
Usage: alluxio fs check-cached [options] <path>

Shows how much of the files below a path is cached.

Arguments:
  path          the file or directory

Options:
  --sample <n>  look at one file in n (default: 1)
  --limit <n>   look at so many files at most (default: 1000)
  --json        as JSON
  -h, --help    display help for command

Examples:
  alluxio fs check-cached /s3/dir
  alluxio fs check-cached --sample 10 --limit 100 s3://bucket/dir


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs cp --help 1`] = `
Usage: alluxio fs cp [options] <source> <target>

Copies a file of the namespace to a local file or directory. Writing to the namespace is not
offered.

Arguments:
  source           a path of the namespace or of the under storage
  target           a local path, or file:///path

Options:
  -R, --recursive  a directory with everything below
  -p, --preserve   keep the times of the files
  --thread <n>     files copied at once (default: 4)
  --json           as JSON
  -h, --help       display help for command

Examples:
  alluxio fs cp /s3/dir/a.csv .
  alluxio fs cp /s3/dir/a.csv file:///tmp/b.csv
  alluxio fs cp -R --thread 8 s3://bucket/dir /tmp/dir


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs head --help 1`] = `
Usage: alluxio fs head [options] <path>

Writes the first bytes of a file to standard output.

Arguments:
  path                the file

Options:
  -c, --bytes <size>  how many (default: 1024)
  -h, --help          display help for command

Examples:
  alluxio fs head /s3/dir/a.csv
  alluxio fs head -c 64KB /s3/dir/a.csv


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs location --help 1`] = `
Usage: alluxio fs location [options] <path>

Shows which worker owns a file, as host:port of its REST API.

Arguments:
  path        the file

Options:
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio fs location /s3/dir/a.csv


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs ls --help 1`] = `
Usage: alluxio fs ls [options] <path>

Lists what lies in a directory: mode, size, time (UTC), kind, path.

Arguments:
  path                  the directory or file

Options:
  -d                    the directory itself
  -h, --human-readable  sizes as 75.72KB
  -R, --recursive       everything below
  -r, --reverse         in reverse order
  --sort <field>        in the order of (choices: "creationTime", "inMemoryPercentage",
                        "lastAccessTime", "lastModificationTime", "name", "path", "size")
  --timestamp <which>   the time to show (choices: "createdTime", "lastAccessTime",
                        "lastModifiedTime", default: "lastModifiedTime")
  --json                as JSON
  --help                display help for command

Examples:
  alluxio fs ls /s3/dir
  alluxio fs ls -R -h s3://bucket/dir
  alluxio fs ls --sort size -r /s3/dir
  alluxio fs ls --json /s3/dir | jq -r '.[].path'


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs stat --help 1`] = `
Usage: alluxio fs stat [options] [path]

Shows what is known of a file or directory.

Arguments:
  path                   the file or directory

Options:
  --path <path>          the same
  -f, --format <format>  what to print, made of %N name, %z size, %u owner, %g group, %i file id, %y
                         time, %Y time in ms, %b pages
  --json                 as JSON
  -h, --help             display help for command

Examples:
  alluxio fs stat /s3/dir/a.csv
  alluxio fs stat -f "%N %z %u %g %i %y %Y %b" /s3/dir/a.csv


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs tail --help 1`] = `
Usage: alluxio fs tail [options] <path>

Writes the last bytes of a file to standard output.

Arguments:
  path                the file

Options:
  -c, --bytes <size>  how many (default: 1024)
  -h, --help          display help for command

Examples:
  alluxio fs tail /s3/dir/a.csv
  alluxio fs tail -c 64KB /s3/dir/a.csv


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio fs test --help 1`] = `
Usage: alluxio fs test [options] <path>

Tells by the exit code whether a path is what the flags say: 0 when all of them hold, else 1.

Arguments:
  path        the file or directory

Options:
  -d          it is a directory
  -e          it exists
  -f          it is a file
  -s          it is a directory, or a file that is not empty
  -z          it is an empty file
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio fs test -e /s3/dir/_SUCCESS && echo done


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info --help 1`] = `
Usage: alluxio info [options] [command]

Shows facts about this installation and its cluster.

Options:
  -h, --help                  display help for command

Commands:
  version [options]           Prints the version of this command.
  nodes [options]             Shows the workers and whether they are there.
  report [options] [kind]     Shows the state of the cluster: a summary, its metrics, or its under
                              storages.
  cache [options]             Shows the cache of each worker: how much of it is used, and how its
                              directories are.
  doctor [options] [subject]  Looks for what is wrong with the cluster, and says what to do about
                              it.
  help [command]              display help for command

Examples:
  alluxio info version
  alluxio info nodes
  alluxio info report
  alluxio info cache
  alluxio info doctor


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info cache --help 1`] = `
Usage: alluxio info cache [options]

Shows the cache of each worker: how much of it is used, and how its directories are.

Options:
  --live             only workers that are there
  --lost             only workers that are not
  --worker <worker>  only this one: its id, its host, or host:port
  --json             as JSON
  -h, --help         display help for command

Capacity and pages of a worker that is not there are not known. What another size or policy would hit is estimated from a sample of the pages that were read lately.

Examples:
  alluxio info cache
  alluxio info cache --live --json
  alluxio info cache --worker cache-1


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info doctor --help 1`] = `
Usage: alluxio info doctor [options] [subject]

Looks for what is wrong with the cluster, and says what to do about it.

Arguments:
  subject       what to look at (choices: "all", "configuration", "storage", default: "all")

Options:
  --all         show what is well, too
  --disk-speed  measure the cache disks, by 32 MB that are written and read
  --json        as JSON
  -h, --help    display help for command

Looks at the state store, the workers, their ports, clocks, limits, memory and options (configuration), and
at the storages behind the mounts, from everywhere, and the cache disks (storage). --disk-speed needs the
admin token. Exit code 1 when there is an error.

Examples:
  alluxio info doctor
  alluxio info doctor storage --disk-speed
  alluxio info doctor --all --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info nodes --help 1`] = `
Usage: alluxio info nodes [options]

Shows the workers and whether they are there.

Options:
  --json      as JSON
  -h, --help  display help for command

The address is that of the worker's REST API; tabs part the columns, unless a terminal is written to.

Examples:
  alluxio info nodes


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info report --help 1`] = `
Usage: alluxio info report [options] [kind]

Shows the state of the cluster: a summary, its metrics, or its under storages.

Arguments:
  kind               of what (choices: "summary", "metrics", "ufs", default: "summary")

Options:
  --format <format>  for programs (choices: "json", "yaml")
  --json             as JSON
  -h, --help         display help for command

Examples:
  alluxio info report
  alluxio info report --format json
  alluxio info report metrics
  alluxio info report ufs --format yaml


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio info version --help 1`] = `
Usage: alluxio info version [options]

Prints the version of this command.

Options:
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio info version


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio init --help 1`] = `
Usage: alluxio init [options] [command]

Prepares this machine for the processes that are to run on it.

Options:
  -h, --help          display help for command

Commands:
  format [options]    Wipes what a worker has cached here, and the mounts and rules of standalone.
  validate [options]  Checks whether processes can run on this machine as they are configured.
  help [command]      display help for command

Examples:
  alluxio init validate
  alluxio init format --skip-master


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio init format --help 1`] = `
Usage: alluxio init format [options]

Wipes what a worker has cached here, and the mounts and rules of standalone.

Options:
  -s, --only-missing  make what is missing, and wipe nothing that is there
  --skip-master       leave the mounts and rules of standalone as they are
  --skip-worker       leave the cache as it is
  --yes               ask nothing
  -h, --help          display help for command

The cache is that of alluxio.worker.page.store.dirs and alluxio.dora.worker.metastore.rocksdb.dir; nothing else
in these directories is touched. A process that runs holds its directories, and nothing is wiped then. What
stands in etcd stays. Mounts and rules go only after a question, or with --yes.

Examples:
  alluxio init format --skip-master
  alluxio init format --yes
  alluxio init format -s


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio init validate --help 1`] = `
Usage: alluxio init validate [options]

Checks whether processes can run on this machine as they are configured.

Options:
  --type <type>  what to check; both without it (choices: "conf", "env")
  --all          show what is well, too
  --json         as JSON
  -h, --help     display help for command

conf: the options, the cache filter file, memory. env: directories, space, ports, limits, etcd. Exit code 1 when
there is an error.

Examples:
  alluxio init validate
  alluxio init validate --type conf --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio job --help 1`] = `
Usage: alluxio job [options] [command]

Loads files into the cache ahead of their readers, and frees them.

Options:
  -h, --help      display help for command

Commands:
  load [options]  Fetches everything below a path that is not cached yet, and keeps it on the
                  workers that own it.
  free [options]  Drops what is cached below a path on every worker, as a job.
  list [options]  Shows the jobs in the order of their submission; ended ones are kept for a week.
  help [command]  display help for command

Examples:
  alluxio job load --path /s3/dataset --submit --wait
  alluxio job list
  alluxio job free --path /s3/dataset --submit


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio job free --help 1`] = `
Usage: alluxio job free [options]

Drops what is cached below a path on every worker, as a job.

Options:
  --path <path>  a path of the namespace or of the under storage
  --submit       submit the job
  --wait         wait until it has ended
  --json         as JSON
  -h, --help     display help for command

What is in the under storage stays as it is. Needs the admin token.

Examples:
  alluxio job free --path /s3/dataset --submit
  alluxio job free --path /s3/dataset --submit --wait


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio job list --help 1`] = `
Usage: alluxio job list [options]

Shows the jobs in the order of their submission; ended ones are kept for a week.

Options:
  --job-type <type>    of which kind (choices: "ALL", "LOAD", "FREE", default: "ALL")
  --job-state <state>  in which state (choices: "ALL", "WAITING", "RUNNING", "VERIFYING", "STOPPED",
                       "SUCCEEDED", "FAILED", default: "ALL")
  --json               as JSON
  -h, --help           display help for command

Tabs part the columns.

Examples:
  alluxio job list
  alluxio job list --job-type LOAD --job-state RUNNING
  alluxio job list --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio job load --help 1`] = `
Usage: alluxio job load [options]

Fetches everything below a path that is not cached yet, and keeps it on the workers that own it.

Options:
  --path <path>                 a file or directory of the namespace or of the under storage
  --index-file <file>           load the files that this one names, one on each line
  --submit                      submit the job
  --progress                    show how far it is
  --stop                        have it end; what is loaded stays
  --dry-run                     load nothing: say how much there is, what is cached, what would be
                                evicted
  --wait                        wait until it has ended: exit code 0 when it succeeded, else 1
  --alias <name>                a name for the job
  --bandwidth <size>            bytes per second of all workers together, such as 100MB
  --batch-size <n>              files that a worker is handed at a time (200)
  --file-filter-regx <pattern>  leave out the files whose whole UFS path matches
  --metadata-only               load what is known of the files, and not their bytes
  --partial-listing             begin without counting everything first; no total is known then
  --replicas <n>                on how many workers; one is what there is
  --skip-if-exists              count what is cached already as skipped instead of as loaded
  --verify                      list again at the end, and read everything back from the cache
  --verbose                     with --progress: the stage and the last failures
  --format <format>             of the progress (choices: "TEXT", "JSON", default: "TEXT")
  --json                        as JSON
  -h, --help                    display help for command

A job goes on when its coordinator dies, at another one or after the restart. Workers skip what they have. Needs
the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio job load --path /s3/dataset --dry-run
  alluxio job load --path s3://bucket/dataset --submit
  alluxio job load --path s3://bucket/dataset --progress
  alluxio job load --path s3://bucket/dataset --stop
  alluxio job load --path /s3/dataset --submit --wait --verify --bandwidth 500MB
  alluxio job load --path /s3/dataset --submit --file-filter-regx '.*\\.tmp'
  alluxio job load --index-file s3://bucket/lists/epoch-1.txt --submit


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio mount --help 1`] = `
Usage: alluxio mount [options] [command]

Binds paths of the namespace to under storages.

Options:
  -h, --help        display help for command

Commands:
  add [options]     Mounts an under storage at a direct child of the root.
  list [options]    Shows all mounts; secrets as xxx.
  remove [options]  Removes a mount. What is in the under storage stays as it is.
  help [command]    display help for command

Examples:
  alluxio mount add --path /data --ufs-uri file:///mnt/nas/data
  alluxio mount list
  alluxio mount remove --path /data


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio mount add --help 1`] = `
Usage: alluxio mount add [options]

Mounts an under storage at a direct child of the root.

Options:
  --path <path>          where in the namespace, such as /s3
  --ufs-uri <uri>        what is mounted: s3://bucket/dir, file:///dir or /dir
  --option <name=value>  an option of the under storage; may be repeated (default: [])
  --no-check             mount without asking the under storage first
  --json                 as JSON
  -h, --help             display help for command

A value may be @file (the text of that file) or env:NAME (that environment variable), which keeps secrets
off the command line; one that begins so itself must be given in one of these ways.

Examples:
  alluxio mount add --path /data --ufs-uri file:///mnt/nas/data
  alluxio mount add --path /s3/ --ufs-uri s3://bucket/ --option s3a.accessKeyId=<ID> --option s3a.secretKey=<KEY>
  alluxio mount add --path /s3 --ufs-uri s3://bucket/ --option s3a.accessKeyId=env:KEY_ID --option s3a.secretKey=@key.txt


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio mount list --help 1`] = `
Usage: alluxio mount list [options]

Shows all mounts; secrets as xxx.

Options:
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio mount list
  alluxio mount list --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio mount remove --help 1`] = `
Usage: alluxio mount remove [options]

Removes a mount. What is in the under storage stays as it is.

Options:
  --path <path>  the path as it was mounted
  --json         as JSON
  -h, --help     display help for command

Examples:
  alluxio mount remove --path /s3


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio process --help 1`] = `
Usage: alluxio process [options] [command]

Runs the processes of a cluster.

Options:
  -h, --help               display help for command

Commands:
  remove-worker [options]  Takes a lost worker off the list of members. What it cached is cached
                           anew by others.
  start                    Runs one until a signal stops it.
  help [command]           display help for command

Examples:
  alluxio process start coordinator -Dalluxio.etcd.endpoints=http://127.0.0.1:2379
  alluxio process start worker -Dalluxio.etcd.endpoints=http://127.0.0.1:2379 -Dalluxio.work.dir=/var/lib/alluxio/worker-1


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio process remove-worker --help 1`] = `
Usage: alluxio process remove-worker [options]

Takes a lost worker off the list of members. What it cached is cached anew by others.

Options:
  -n, --name <workerId>  its id, as "alluxio info nodes" shows it
  --json                 as JSON
  -h, --help             display help for command

Examples:
  alluxio process remove-worker -n worker-25a2f9ac-87b1-445f-880f-8688567ee153


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio process start --help 1`] = `
Usage: alluxio process start [options] [command]

Runs one until a signal stops it.

Options:
  -h, --help             display help for command

Commands:
  coordinator [options]  Keeps the mounts and answers the command line.
  worker [options]       Caches files and serves them.
  help [command]         display help for command

Examples:
  alluxio process start coordinator -Dalluxio.etcd.endpoints=http://127.0.0.1:2379
  alluxio process start worker -Dalluxio.etcd.endpoints=http://127.0.0.1:2379 -Dalluxio.work.dir=/var/lib/alluxio/worker-1


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio process start coordinator --help 1`] = `
Usage: alluxio process start coordinator [options]

Keeps the mounts and answers the command line.

Options:
  --direct       accepted and without effect: the process always runs in the foreground
  --console-log  accepted and without effect: the log always goes to stderr
  -h, --help     display help for command

Examples:
  alluxio process start coordinator -Dalluxio.etcd.endpoints=http://127.0.0.1:2379


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio process start worker --help 1`] = `
Usage: alluxio process start worker [options]

Caches files and serves them.

Options:
  --direct       accepted and without effect: the process always runs in the foreground
  --console-log  accepted and without effect: the log always goes to stderr
  -h, --help     display help for command

Examples:
  alluxio process start worker -Dalluxio.etcd.endpoints=http://127.0.0.1:2379


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio rule --help 1`] = `
Usage: alluxio rule [options] [command]

Says which files are kept in the cache, and for how long they are taken as unchanged.

Options:
  -h, --help        display help for command

Commands:
  add [options]     Adds a rule, or replaces the one of the same pattern. Every worker follows it at
                    once.
  list [options]    Shows all rules of the cluster.
  remove [options]  Removes a rule.
  help [command]    display help for command

Examples:
  alluxio rule add --pattern 's3://bucket/tmp/.*' --data skipCache
  alluxio rule list
  alluxio rule remove --pattern 's3://bucket/tmp/.*'


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio rule add --help 1`] = `
Usage: alluxio rule add [options]

Adds a rule, or replaces the one of the same pattern. Every worker follows it at once.

Options:
  --pattern <regex>    a regular expression that matches the whole UFS path of a file
  --data <policy>      what holds for its bytes: immutable, skipCache or maxAge=<duration>
  --metadata <policy>  what holds for what is known of it: the same words
  --json               as JSON
  -h, --help           display help for command

Where several rules match, skipCache goes before maxAge before immutable, and of several ages the shortest
counts. What no rule says is as the worker's own configuration has it. Needs the admin token.

Examples:
  alluxio rule add --pattern 's3://bucket/tmp/.*' --data skipCache
  alluxio rule add --pattern 's3://bucket/hourly/.*' --metadata maxAge=1h
  alluxio rule add --pattern 's3://bucket/published/.*' --data immutable


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio rule list --help 1`] = `
Usage: alluxio rule list [options]

Shows all rules of the cluster.

Options:
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio rule list
  alluxio rule list --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio rule remove --help 1`] = `
Usage: alluxio rule remove [options]

Removes a rule.

Options:
  --pattern <regex>  the pattern as it was added
  --json             as JSON
  -h, --help         display help for command

Examples:
  alluxio rule remove --pattern 's3://bucket/tmp/.*'


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio standalone --help 1`] = `
Usage: alluxio standalone [options]

Runs coordinator and worker in one process, on 127.0.0.1 unless configured otherwise.

Options:
  --mount <path=uri>     mount an under storage at start; may be repeated
  --option <name=value>  an option of the mount before it; may be repeated
  -h, --help             display help for command

A value may be @file (the text of that file) or env:NAME (that environment variable), which keeps secrets
off the command line; one that begins so itself must be given in one of these ways.

Examples:
  alluxio standalone --mount /data=/mnt/nas/data
  alluxio standalone --mount /s3=s3://bucket/ --option alluxio.underfs.s3.region=us-east-1
  alluxio standalone -Dalluxio.worker.page.store.sizes=100GB


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio ttl --help 1`] = `
Usage: alluxio ttl [options] [command]

Says how long files may stay in the cache, counted from when they were loaded.

Options:
  -h, --help        display help for command

Commands:
  add [options]     Adds a rule, or replaces the one of the same directory. Every worker follows it
                    at once.
  list [options]    Shows all rules of the cluster.
  update [options]  Changes the time of a rule that is there.
  remove [options]  Removes a rule. What is cached stays.
  help [command]    display help for command

Examples:
  alluxio ttl add --path /s3/data/ --time 1h
  alluxio ttl list
  alluxio ttl update --path /s3/data/ --time 2h
  alluxio ttl remove --path /s3/data/


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio ttl add --help 1`] = `
Usage: alluxio ttl add [options]

Adds a rule, or replaces the one of the same directory. Every worker follows it at once.

Options:
  --path <path>      a directory of the namespace, which a mount holds
  --time <duration>  how long its files may stay, from 1s on: 90s, 1h, 7d
  --json             as JSON
  -h, --help         display help for command

Holds for all files below the directory; of rules for directories within each other the one of the innermost
counts. Files whose time is over are dropped when workers look for them, every alluxio.ttl.eviction.check.interval
and when a rule comes. Needs the admin token.

Examples:
  alluxio ttl add --path /s3/data/ --time 1h
  alluxio ttl add --path /s3/data/hot/ --time 7d


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio ttl list --help 1`] = `
Usage: alluxio ttl list [options]

Shows all rules of the cluster.

Options:
  --json      as JSON
  -h, --help  display help for command

Examples:
  alluxio ttl list
  alluxio ttl list --json


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio ttl remove --help 1`] = `
Usage: alluxio ttl remove [options]

Removes a rule. What is cached stays.

Options:
  --path <path>  the directory as it was added
  --json         as JSON
  -h, --help     display help for command

Examples:
  alluxio ttl remove --path /s3/data/


`

exports[`packages/cli/test/cli.test.ts > TAP > every command has a help with an example > alluxio ttl update --help 1`] = `
Usage: alluxio ttl update [options]

Changes the time of a rule that is there.

Options:
  --path <path>      a directory of the namespace, which a mount holds
  --time <duration>  how long its files may stay, from 1s on: 90s, 1h, 7d
  --json             as JSON
  -h, --help         display help for command

Examples:
  alluxio ttl update --path /s3/data/ --time 2h


`
