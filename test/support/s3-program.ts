/** What a real S3 server has to say of itself so that tests can run it. */

export interface S3Program {
  readonly name: string;
  readonly traits: S3Traits;
  /** The command that runs it in the foreground, S3 at `port`; it and all that it starts may be killed at any time. */
  command(options: S3CommandOptions): Promise<readonly [program: string, args: readonly string[]]>;
}

export interface S3CommandOptions {
  /** An empty directory of its own. */
  readonly directory: string;
  /** Of the host that it runs on. */
  readonly address: string;
  readonly port: number;
  readonly users: readonly S3User[];
  /** What it has to hold, where more than a gigabyte. */
  readonly capacityBytes?: number;
}

export interface S3User {
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretKey: string;
}

/** In what real servers differ, as far as tests see it. */
export interface S3Traits {
  /** Whether keys such as `a//b`, `/a` and `../a` are names like any others, as in S3; elsewhere they are refused or taken for others. */
  readonly keepsOddKeys: boolean;
  /** Whether it lists in the byte order of names, as S3 does. */
  readonly ordersByBytes: boolean;
  /** Delimiters by which it groups names as S3 does, for tests to try. */
  readonly delimiters: readonly string[];
}
