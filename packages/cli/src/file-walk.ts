/** Walks what lies below a directory, in pages, with one page in memory however much there is. */

import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import type { OnlineWorkers } from './online-workers.ts';

/**
 * Every file below, each directory before what it holds. The listing is flat and in the byte order of names, so what a directory holds comes
 * together, and the directories are told from the names: no request for each of them.
 */
export async function* walk(
  worker: OnlineWorkers,
  root: FileInfo,
  options: { readonly wantsCached: boolean },
): AsyncGenerator<FileInfo> {
  let open: readonly string[] = [];
  for await (const file of worker.list(root.mPath, { isRecursive: true, ...options })) {
    const name = file.mPath.slice(root.mPath.length + 1);
    // A marker is a directory that is named itself.
    const parts = (file.mType === 'directory' ? `${name}/` : name).split('/').slice(0, -1);
    let depth = 0;
    while (depth < parts.length && parts[depth] === open[depth]) depth++;
    for (let length = depth + 1; length <= parts.length; length++) {
      yield directoryOf(root, parts.slice(0, length));
    }
    open = parts;
    if (file.mType === 'file') yield file;
  }
}

function directoryOf(root: FileInfo, parts: readonly string[]): FileInfo {
  const name = parts.join('/');
  return {
    ...root,
    mName: parts.at(-1) ?? '',
    mPath: `${root.mPath}/${name}`,
    mUfsPath: `${root.mUfsPath}/${name}`,
  };
}
