/** A process of a cluster as its users start it: `alluxio process start coordinator|worker`, on free ports. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export const alluxioProgram = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;

const freePortDefinitions = [
  'alluxio.coordinator.web.port=0',
  'alluxio.worker.rest.port=0',
  'alluxio.worker.http.server.port=0',
  'alluxio.worker.web.port=0',
];

export class ClusterProcess {
  readonly #child: ChildProcess;
  #output = '';
  #errors = '';

  /** `definitions` are `name=value`; what they say of ports goes before the free ones. */
  constructor(role: 'coordinator' | 'worker', definitions: readonly string[]) {
    const args = [...freePortDefinitions, ...definitions].map((definition) => `-D${definition}`);
    this.#child = spawn(process.execPath, [alluxioProgram, 'process', 'start', role, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    this.#child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#errors = (this.#errors + text).slice(-4000)));
  }

  /** Resolves with the URL behind this label in the line that says that it runs. */
  async url(label: 'S3' | 'REST' | 'web' | 'at'): Promise<URL> {
    while (!/ is running.*\n/.test(this.#output)) {
      if (this.#child.exitCode !== null) throw new Error(`the process ended at its start: ${this.#errors}`);
      await Promise.race([once(this.#child.stdout ?? this.#child, 'data'), once(this.#child, 'exit')]);
    }
    return new URL(new RegExp(`${label} (http://[^,\\s]+)`).exec(this.#output)?.[1] ?? '');
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
