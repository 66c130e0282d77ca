//! Answers of the table: begun from an entry, sent from the files, handed up to TypeScript where the bytes are not what they were.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::{prepare, Marks};
use crate::connection::{Connection, FastAnswer, Flush, Phase};
use crate::events::{Cause, Event};
use crate::locked;
use crate::page::Check;
use crate::reactor::{Next, Reactor, CLOSING_TIMEOUT};
use crate::request::{fast_request, Head};
use crate::shared::Shared;
use crate::uses::Line;

/// How long a disk may take to give what is to be checked.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// So often in a row may checked bytes have left memory again before they were sent.
const BARREN_CHECKS_MAX: u32 = 8;

impl Reactor {
    /// Prepares the table's answer; if it has none, why the request is to go up.
    pub fn answer_fast(&mut self, connection: &mut Connection, head: &Head) -> Result<(), Cause> {
        if self.is_draining || self.fast_count >= self.settings.answers_max {
            return Err(Cause::NotInTable);
        }
        let request =
            fast_request(head, &self.settings.neutral_headers).ok_or(Cause::NotInTable)?;
        let target = head.target.as_bytes();
        let marks = &self.settings.peer_marks;
        if !marks.allow(head.method, target, request.mark, self.date.now_ms) {
            return Err(Cause::NotInTable);
        }
        let Connection {
            out,
            extents,
            listener,
            ..
        } = connection;
        let marks = Marks {
            date: &self.date.line,
            id_prefix: &self.settings.id_prefix,
            sequence: self.sequence,
        };
        let mut table = locked(&self.shared.table);
        let entry = table
            .find(*listener, &request.key, self.now)
            .ok_or(Cause::NotInTable)?;
        let Some(prepared) = prepare(entry, &request, &marks, out, extents) else {
            out.clear();
            extents.clear();
            return Err(Cause::NotInTable);
        };
        // Another GET without a condition would be answered the same, so this one can be asked again for the entry's sake.
        let may_renew = !request.is_head && request.if_none_match.is_none();
        let is_renewal_due = may_renew && entry.claim_renewal(self.now);
        let answer = FastAnswer {
            kind: prepared.kind,
            body_bytes: prepared.body_bytes,
            to: prepared.to,
            file: entry.file,
            etag: Arc::clone(&entry.etag),
            check: None,
            barren_checks: 0,
            is_kept: request.persistence.is_kept(),
            begun_at: self.now,
            sequence: self.sequence,
        };
        self.sequence += 1;
        connection.begin_fast(answer);
        drop(table);
        if is_renewal_due {
            self.events.push(Event::renewal(connection, head));
        }
        Ok(())
    }

    /// Sends on with the table's answer.
    pub fn send_fast(&mut self, connection: &mut Connection) -> Next {
        match connection.flush_fast() {
            Flush::Done => return self.end_fast(connection),
            Flush::Blocked => {}
            Flush::Yield => self.ready.push(connection.id),
            Flush::Unchecked(check) => return self.begin_check(connection, check),
            Flush::Failed => return Next::Reset,
        }
        Next::Keep
    }

    /// All of the table's answer has gone: the connection waits for a head, or ends.
    fn end_fast(&mut self, connection: &mut Connection) -> Next {
        let Phase::Fast(FastAnswer { is_kept, .. }) = connection.phase else {
            return Next::Keep;
        };
        self.report_fast(connection, true);
        connection.extents.clear();
        connection.phase = Phase::Head;
        if is_kept {
            return Next::Keep;
        }
        if connection.is_read_out() {
            return Next::Close;
        }
        connection.shut_down();
        connection.deadline = self.now + CLOSING_TIMEOUT;
        Next::Keep
    }

    /// The table's answer is over.
    pub fn report_fast(&self, connection: &Connection, is_complete: bool) {
        let Phase::Fast(answer) = &connection.phase else {
            return;
        };
        let Shared { counts, uses, .. } = &*self.shared;
        let counts = &counts[connection.listener as usize];
        let sent_bytes = if is_complete {
            answer.body_bytes
        } else {
            answer.body_bytes - connection.unsent_bytes()
        };
        let time = answer.begun_at.elapsed();
        uses.count_call(counts, answer.kind, time, is_complete);
        counts.body_bytes.fetch_add(sent_bytes, Ordering::Relaxed);
        for extent in &connection.extents {
            uses.count_page(&extent.page.uses);
        }
        self.log(connection, |target| Line {
            listener: connection.listener,
            is_head: answer.kind.is_head(),
            status: answer.kind.status(),
            outcome: answer.kind.outcome().into(),
            target,
            sequence: answer.sequence,
            sent_bytes,
            time,
            remote: connection.remote_address,
            is_complete,
        });
    }

    /// Where there is an access log.
    pub fn log(&self, connection: &Connection, line: impl FnOnce(Vec<u8>) -> Line) {
        let uses = &self.shared.uses;
        if uses.is_logged {
            let target = connection.request.split(|byte| *byte == b' ').nth(1);
            uses.log(line(target.unwrap_or_default().to_vec()));
        }
    }

    fn begin_check(&mut self, connection: &mut Connection, check: Check) -> Next {
        let Phase::Fast(answer) = &mut connection.phase else {
            return Next::Keep;
        };
        self.check_count += 1;
        answer.barren_checks += 1;
        if answer.barren_checks > BARREN_CHECKS_MAX
            || !self.checker.submit(connection.id, self.check_count, check)
        {
            return self.give_up(connection);
        }
        answer.check = Some(self.check_count);
        connection.deadline = self.now + CHECK_TIMEOUT;
        Next::Keep
    }

    /// The bytes of the table's answer are not what they were, or cannot be had: TypeScript answers instead, or goes on where it stopped.
    pub fn give_up(&mut self, connection: &mut Connection) -> Next {
        let Phase::Fast(answer) = &connection.phase else {
            return Next::Keep;
        };
        locked(&self.shared.table).drop_file(answer.file);
        let cause = match connection.unsent_head() {
            None => Cause::NotInTable,
            // What was begun cannot be told from another version of it.
            Some(_) if answer.etag.is_empty() => return Next::Reset,
            Some(rest) => {
                connection.chunks.push_back(rest.to_vec());
                Cause::Broken {
                    from: answer.to - connection.unsent_bytes(),
                    to: answer.to,
                    etag: Arc::clone(&answer.etag),
                }
            }
        };
        connection.out.clear();
        connection.extents.clear();
        self.hand_up_again(connection, &cause)
    }
}
