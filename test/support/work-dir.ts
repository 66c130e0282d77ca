import type { Test } from 'tap';

/**
 * A directory of the test's own, for processes that write into it: it goes when the teardowns are over that stop them. What `testdir` alone makes goes before them, unless
 * there was a teardown before it.
 */
export function workDirOf(
  t: Pick<Test, 'teardown' | 'testdir'>,
  content: Parameters<Test['testdir']>[0] = {},
): string {
  t.teardown(() => undefined);
  return t.testdir(content);
}
