import { defaultLoadOptions, type Job, noCounts } from '@alluxio-ts/common/protocol/jobs';
import t from 'tap';
import { JobProgressLine } from '../src/job-progress-line.ts';

const MIB = 1024 * 1024;

function jobOf(doneMiB: number, more: Partial<Job> = {}): Job {
  return {
    schema: 1,
    id: 'id',
    kind: 'LOAD',
    paths: ['/s3'],
    options: defaultLoadOptions,
    state: 'RUNNING',
    isStopping: false,
    submittedMs: 0,
    startedMs: 0,
    cursor: { pass: 'load', source: 0 },
    counts: noCounts,
    shown: { ...noCounts, loadedBytes: doneMiB * MIB, processedFiles: doneMiB },
    failures: [],
    total: { files: 100, bytes: 100 * MIB, isComplete: true },
    ...more,
  };
}

await t.test('a job in one line: its share, its rate of late, what is left and what failed', async (t) => {
  const line = new JobProgressLine();
  line.add(jobOf(0), 0);
  t.equal(line.text(jobOf(0)), '[....................]   0%  0B of 100.00MB  0B/s  0 of 100 files');
  line.add(jobOf(10), 1000);
  t.equal(
    line.text(jobOf(10)),
    '[##..................]  10%  10.00MB of 100.00MB  10.00MB/s  10 of 100 files  00:00:09 left',
  );
  for (let second = 2; second <= 10; second++) line.add(jobOf(10 + second), second * 1000);
  t.match(line.text(jobOf(20)), /1\.00MB\/s.*00:01:20 left$/, 'the rate is that of the last seconds');
  const failed = jobOf(50, {
    shown: { ...noCounts, loadedBytes: 50 * MIB, processedFiles: 50, failedFiles: 2 },
  });
  t.match(line.text(failed), /50 of 100 files {2}2 failed/);
  t.match(line.text({ ...failed, givingWayWorkers: 1 }), /100 files {2}gives way to readers {2}2 failed/);
});

await t.test('without a total there is no bar and no time left; verifying is said', async (t) => {
  const line = new JobProgressLine();
  const { total: _, ...job } = jobOf(5);
  line.add(job, 0);
  line.add(job, 1000);
  t.equal(line.text(job), '5.00MB  0B/s  5 files');
  const { total: __, ...first } = jobOf(1);
  t.equal(line.text(first), '1.00MB  0B/s  1 file');
  t.match(line.text(jobOf(5, { state: 'VERIFYING' })), /5% {2}verifying {2}/);
});
