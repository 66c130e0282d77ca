import t from 'tap';
import { jobProgressData, jobProgressText, shareDoneOf } from '../src/job-report.ts';
import { defaultLoadOptions, type Job, noCounts } from '../src/protocol/jobs.ts';

const job: Job = {
  schema: 1,
  id: 'id',
  kind: 'LOAD',
  paths: ['s3://b/d'],
  options: defaultLoadOptions,
  state: 'RUNNING',
  isStopping: false,
  submittedMs: 0,
  startedMs: 1000,
  cursor: { pass: 'load', source: 0 },
  counts: noCounts,
  shown: {
    ...noCounts,
    scannedFiles: 4,
    processedFiles: 2,
    scannedBytes: 4096,
    loadedBytes: 1024,
    heldBytes: 1024,
    dispatchedFiles: 4,
  },
  failures: [],
};
const report = { path: '/s3/d', isVerbose: false, nowMs: 3_723_500 };

await t.test('the text is that of Alluxio, line for line', async (t) => {
  t.equal(
    jobProgressText(job, report),
    [
      "Progress for loading path '/s3/d':",
      '\tSettings:\tbandwidth: unlimited\tverify: false\tmetadata-only: false',
      '\tTime Elapsed: 01:02:02',
      '\tJob State: RUNNING',
      '\tInodes Scanned: 4',
      '\tInodes Processed: 2',
      '\tBytes Loaded: 2.00KB out of 4.00KB',
      '\tThroughput: 0B/s',
      '\tFile Failure rate: 0.00%',
      '\tSubtask Failure rate: 0.00%',
      '\tFiles Failed: 0',
      '\tSubtask Retry rate: 0.00%',
      '\tSubtasks on Retry Dead Letter Queue: 0',
      '',
    ].join('\n'),
  );
});

await t.test('what was asked for changes the lines', async (t) => {
  const options = { ...defaultLoadOptions, skipIfExists: true, partialListing: true, bandwidth: 100 };
  const text = jobProgressText({ ...job, options }, { ...report, isVerbose: true });
  t.match(text, /bandwidth: 100\t/);
  t.match(text, /\tStage: LOADING\n/);
  t.match(text, /\tBytes Skipped: 1.00KB\n\tBytes Loaded: 1.00KB\n/, 'no total of a partial listing');
  const metadata = jobProgressText({ ...job, options: { ...options, loadMetadataOnly: true } }, report);
  t.notMatch(metadata, /Bytes Loaded|Throughput/);
  const failure = { code: 'UfsTimeout', message: 'slow' };
  const failures = [{ path: 's3://b/d/x', ...failure }];
  const failed: Job = {
    ...job,
    state: 'FAILED',
    endedMs: 1500,
    failure,
    failures,
    failedFilesPath: '/w/jobs/id.failed.tsv',
    shown: noCounts,
  };
  const ended = jobProgressText(failed, { ...report, isVerbose: true });
  t.match(ended, /\tTime Elapsed: 00:00:00\n\tJob State: FAILED \(UfsTimeout: slow\)\n/);
  t.match(ended, /\tFile Failure rate: NaN%\n/, 'over nothing');
  t.match(ended, /\tRecent failed subtasks: \n\t\ts3:\/\/b\/d\/x: UfsTimeout: slow\n/);
  t.match(ended, /\tFailed files saved to: \/w\/jobs\/id.failed.tsv\n$/);
  t.notMatch(ended, /Throughput/, 'within the first second');
  const listed = { ...job, total: { files: 4, bytes: 4096, isComplete: true } };
  const verbose = { ...report, isVerbose: true };
  t.match(jobProgressText(listed, verbose), /\tStage: LOADING\n/, 'listed, and not loaded');
  const retried = { ...listed, shown: { ...listed.shown, retriedFiles: 1 } };
  t.match(jobProgressText(retried, verbose), /\tStage: RETRYING\n/);
  const slow = jobProgressText({ ...job, givingWayWorkers: 2 }, report);
  t.match(slow, /\tThroughput: .*\n\tGives Way To Readers: on 2 workers\n/);
  const repaired = { ...job, shown: { ...job.shown, repairedBytes: 512 } };
  t.match(
    jobProgressText(repaired, report),
    /\tBytes Loaded: 2.00KB out of 4.00KB\n.*\n\tBytes Fetched Again To Repair: 512B\n/,
    'beside what was loaded, not in it',
  );
});

await t.test('the JSON has the names of Alluxio, without what is not known', async (t) => {
  t.same(jobProgressData(job, report), {
    mVerbose: false,
    mJobState: 'RUNNING',
    mVerificationEnabled: false,
    mSkippedByteCount: 0,
    mLoadedByteCount: 2048,
    mScannedInodesCount: 4,
    mProcessedInodesCount: 2,
    mTotalByteCount: 4096,
    mThroughput: 0,
    mFailureFilesPercentage: 0,
    mFailureSubTasksPercentage: 0,
    mRetrySubTasksPercentage: 0,
    mFailedFileCount: 0,
    mSkipIfExists: false,
    mMetadataOnly: false,
    mRunningStage: 'LOADING',
    mRetryDeadLetterQueueSize: 0,
    mTimeElapsed: 3_722_500,
  });
});

await t.test('the share that is done is of bytes, and unknown while nobody has counted', async (t) => {
  t.equal(shareDoneOf(job), undefined);
  t.equal(shareDoneOf({ ...job, total: { files: 4, bytes: 8192, isComplete: false } }), undefined);
  t.equal(shareDoneOf({ ...job, total: { files: 4, bytes: 8192, isComplete: true } }), 0.25);
  t.equal(
    shareDoneOf({ ...job, total: { files: 4, bytes: 0, isComplete: true } }),
    0.5,
    'of files without bytes',
  );
  t.equal(shareDoneOf({ ...job, state: 'SUCCEEDED' }), 1);
});
