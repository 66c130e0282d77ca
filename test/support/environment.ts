/** The environment of this process without what would configure alluxio-ts: for processes that tests start. */
export function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ALLUXIO_')));
}
