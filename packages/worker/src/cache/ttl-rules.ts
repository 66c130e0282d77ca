/** How long files may stay in the cache, by the directories of the namespace that they lie in: the rule of the innermost one counts. */

import { type TtlRule, ttlMsOf } from '@alluxio-ts/common/protocol/ttl-rules';

/** A directory with a rule that lies in no other such directory. */
export interface TtlArea {
  /** `/s3/data/`. */
  readonly path: string;
  /** The shortest time of the rules for it and below it. */
  readonly timeMinMs: number;
}

export class TtlRules {
  /** By the path of the directory, which ends with a slash. */
  readonly #timeMsByPath = new Map<string, number>();

  get count(): number {
    return this.#timeMsByPath.size;
  }

  /** Throws for a time that is none. */
  set({ path, time }: TtlRule): void {
    this.#timeMsByPath.set(path, ttlMsOf(time));
  }

  delete(path: string): void {
    this.#timeMsByPath.delete(path);
  }

  /** Undefined when no rule holds for this file. */
  timeMsOf(filePath: string): number | undefined {
    for (let slash = filePath.lastIndexOf('/'); slash > 0; slash = filePath.lastIndexOf('/', slash - 1)) {
      const timeMs = this.#timeMsByPath.get(filePath.slice(0, slash + 1));
      if (timeMs !== undefined) return timeMs;
    }
    return undefined;
  }

  /** Together they hold every file for which there is a rule. */
  areas(): readonly TtlArea[] {
    const areas: TtlArea[] = [];
    // What begins with a path comes right behind it.
    for (const path of [...this.#timeMsByPath.keys()].toSorted()) {
      const timeMs = this.#timeMsByPath.get(path) ?? Number.POSITIVE_INFINITY;
      const last = areas.at(-1);
      if (!last || !path.startsWith(last.path)) areas.push({ path, timeMinMs: timeMs });
      else areas[areas.length - 1] = { path: last.path, timeMinMs: Math.min(last.timeMinMs, timeMs) };
    }
    return areas;
  }
}
