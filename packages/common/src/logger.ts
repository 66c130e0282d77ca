/** One JSON line an event: `event` is constant text, everything that varies is a field. Secrets are never fields. */

import { pino } from 'pino';
import { type LogLevel, logLevels } from './log-level.ts';

/** The part of pino that modules use. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, event: string): void;
  info(fields: Readonly<Record<string, unknown>>, event: string): void;
  warn(fields: Readonly<Record<string, unknown>>, event: string): void;
  error(fields: Readonly<Record<string, unknown>>, event: string): void;
}

/** The one logger of a process, whose level may be changed while it runs. */
export interface ProcessLogger extends Logger {
  level: LogLevel;
}

export interface LoggerOptions {
  /** `coordinator`, `worker`, `standalone`. */
  readonly process: string;
  readonly level: LogLevel;
  /** Where lines go; standard error unless said otherwise. */
  readonly destination?: { write(line: string): void };
}

export function createLogger(options: LoggerOptions): ProcessLogger {
  const logger = pino(
    {
      level: options.level,
      base: { process: options.process },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
    },
    options.destination ?? pino.destination({ fd: 2, sync: false }),
  );
  // There are no levels of our own, so pino's are these.
  return logger as Logger as ProcessLogger;
}

/** From now on, until the process ends. The change itself is logged wherever one of the two levels has it. */
export function changeLogLevel(logger: ProcessLogger, level: LogLevel): void {
  const before = logger.level;
  if (logLevels.indexOf(level) < logLevels.indexOf(before)) logger.level = level;
  logger.info({ before, level }, 'log-level-changed');
  logger.level = level;
}

export const silentLogger: ProcessLogger = {
  level: 'silent',
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** An error as fields: name, code, message and its causes, without the properties that libraries hang onto errors (requests, headers). */
function describeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return { message: String(thrown) };
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
  return {
    name: thrown.name,
    ...(code === undefined ? {} : { code }),
    message: thrown.message,
    ...(code === 'Internal' || code === undefined ? { stack: thrown.stack } : {}),
    ...(thrown.cause === undefined || depth >= 4 ? {} : { cause: describeError(thrown.cause, depth + 1) }),
  };
}
