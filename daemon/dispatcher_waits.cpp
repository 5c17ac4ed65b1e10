// Callers that wait for a boundary. They take turns, a session at a time: the first asks the ledger what there is to
// do, has its attempts made one after the other, and ends when nothing is left, or with the first thing that stops it.
#include <cassert>

#include "daemon/convert.h"
#include "daemon/dispatcher.h"

namespace tidemark::daemon {

using ipc::Outcome;
using lifecycle::Taken;
using store::AttemptEnd;

namespace {

// Of a flush or an evict that has nothing left to try.
Outcome ended_well(const Wait& wait) {
  if (wait.accepted) return Outcome::accepted;
  return wait.result.segments > 0 ? Outcome::committed : Outcome::clean;
}

}  // namespace

bool Dispatcher::busy(uid_t uid, std::string_view session) const {
  const auto found = sessions_.find({uid, std::string(session)});
  if (found == sessions_.end()) return false;
  const SessionRecord& record = *found->second;
  return record.phase != SessionRecord::Phase::idle ||
         (!record.waits.empty() && record.waits.front()->stage == Wait::Stage::attempting);
}

void Dispatcher::enqueue(std::shared_ptr<Wait> wait, std::optional<lifecycle::Milliseconds> timeout) {
  if (wait->client != 0) waits_by_client_[wait->client].insert(wait);
  if (timeout) {
    wait->timer = std::make_unique<boost::asio::steady_timer>(context_, *timeout);
    wait->timer->async_wait([this, wait](const boost::system::error_code& error) {
      if (error) return;
      finish(wait, Outcome::timeout);
    });
  }
  SessionRecord& record = record_of(wait->uid, wait->session);
  record.waits.push_back(wait);
  if (wait->kind == Wait::Kind::flush || wait->kind == Wait::Kind::evict) {
    // The boundary is now, whatever there is to wait for: what is dirty stays due when the caller's time is over.
    make_due(wait);
  } else {
    advance(record);
  }
}

// The next caller gets its turn, if nothing is under way; otherwise what is due goes on by itself.
void Dispatcher::advance(SessionRecord& record) {
  if (record.phase == SessionRecord::Phase::idle && !record.waits.empty() &&
      record.waits.front()->stage == Wait::Stage::queued) {
    unplace(record);
    start(record, record.waits.front());
    return;
  }
  place(record);
}

void Dispatcher::start(SessionRecord& record, const std::shared_ptr<Wait>& wait) {
  if (wait->kind != Wait::Kind::commit) {
    wait->stage = Wait::Stage::attempting;
    step(record, wait);
    return;
  }
  wait->stage = Wait::Stage::asking;
  store::TakeOldest command;
  command.uid = wait->uid;
  command.session = wait->session;
  command.agent = wait->agent;
  command.reason = wait->reason;
  ledger_->submit(std::move(command), [this, wait](store::Outcome<store::TakeOldest::Result> outcome) {
    if (wait->finished) return;
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) return refuse(wait, *refused);
    const auto& taken = std::get<store::TakeOldest::Result>(outcome);
    wait->result.marks = taken.marks;
    if (!taken.marks.known) return finish(wait, Outcome::unknown);
    switch (taken.taken) {
      case Taken::taken:
        wait->stage = Wait::Stage::attempting;
        return step(record_of(wait->uid, wait->session), wait);
      case Taken::clean:
        return finish(wait, Outcome::clean);
      case Taken::busy:
        return finish(wait, Outcome::busy);
      case Taken::confirming:
        return finish(wait, Outcome::accepted);
      case Taken::no_owner:
        return finish(wait, Outcome::no_owner);
      case Taken::stuck:
        return finish(wait, Outcome::stuck);
    }
  });
}

// The boundary itself, of a flush or an evict; its attempts follow when it is the caller's turn.
void Dispatcher::make_due(const std::shared_ptr<Wait>& wait) {
  wait->stage = Wait::Stage::asking;
  store::MakeDue command;
  command.uid = wait->uid;
  command.session = wait->session;
  command.reason = wait->reason;
  command.unless_turns_open = wait->kind == Wait::Kind::evict;
  ledger_->submit(std::move(command), [this, wait](store::Outcome<store::MakeDue::Result> outcome) {
    if (wait->finished) return;
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) return refuse(wait, *refused);
    const auto& made = std::get<store::MakeDue::Result>(outcome);
    wait->result.marks = made.marks;
    if (!made.marks.known) return finish(wait, Outcome::unknown);
    if (wait->kind == Wait::Kind::evict && made.turns_open) return finish(wait, Outcome::running);
    // The mirror may not know: it keeps no session that nothing can be begun for.
    if (made.head.stuck) return finish(wait, Outcome::stuck);
    wait->accepted = made.marks.accepted > made.marks.watermark;
    // Nothing of the session was due before, so nothing was known of it here: it may be stuck.
    if (record_of(wait->uid, wait->session).head.session_id == 0) on_head(made.head);
    wait->stage = Wait::Stage::queued;
    advance(record_of(wait->uid, wait->session));
  });
}

void Dispatcher::refuse(const std::shared_ptr<Wait>& wait, const store::Refused& refused) {
  WaitResult result = wait->result;
  result.refused = refused;
  finish(wait, std::move(result));
}

// The caller's next attempt, or its end.
void Dispatcher::step(SessionRecord& record, const std::shared_ptr<Wait>& wait) {
  if (!ended(record, wait)) place(record);
}

bool Dispatcher::ended(SessionRecord& record, const std::shared_ptr<Wait>& wait) {
  const store::Head& head = record.head;
  if (head.stuck) {
    finish(wait, Outcome::stuck);
  } else if (!head.due && wait->kind == Wait::Kind::evict) {
    release(wait);
  } else if (!head.due) {
    finish(wait, ended_well(*wait));
  } else if (!record.owner) {
    finish(wait, Outcome::no_owner);
  } else {
    switch (reach(*record.owner, record)) {
      case Reach::somebody:
        return false;
      case Reach::paused:
        wait->result.error =
            lacks_provider(*record.owner) ? unconfigured_text(*record.owner) : line_of(*record.owner)->queue.error();
        finish(wait, Outcome::paused);
        break;
      case Reach::nobody:
        finish(wait, Outcome::owner_offline);
    }
  }
  return true;
}

void Dispatcher::on_attempt_ended(SessionRecord& record, const Out& out, AttemptEnd how, const std::string& error,
                                  const store::Marks& marks) {
  const std::shared_ptr<Wait> wait =
      !record.waits.empty() && record.waits.front()->own_attempt ? record.waits.front() : nullptr;
  if (!wait) {
    advance(record);
    return;
  }
  wait->own_attempt = false;
  wait->result.start = out.start;
  wait->result.end = out.end;
  wait->result.error = error;
  wait->result.marks = marks;
  switch (how) {
    case AttemptEnd::committed:
    case AttemptEnd::skipped:
      ++wait->result.segments;
      wait->result.error.clear();
      if (wait->kind == Wait::Kind::commit) return finish(wait, Outcome::committed);
      return step(record, wait);
    case AttemptEnd::accepted:
      wait->accepted = true;
      if (wait->kind == Wait::Kind::commit) return finish(wait, Outcome::accepted);
      return step(record, wait);
    case AttemptEnd::failed:
    case AttemptEnd::failed_for_good:
      return finish(wait, Outcome::failed);
    case AttemptEnd::withdrawn:
    case AttemptEnd::withdrawn_in_doubt:
      wait->result.start = wait->result.end = 0;
      wait->result.error.clear();
      return step(record, wait);
    case AttemptEnd::in_doubt:
      return finish(wait, Outcome::in_doubt);
  }
}

void Dispatcher::release(const std::shared_ptr<Wait>& wait) {
  wait->stage = Wait::Stage::releasing;
  store::Release command;
  command.uid = wait->uid;
  command.session = wait->session;
  ledger_->submit(std::move(command), [this, wait](store::Outcome<store::Release::Result> outcome) {
    if (wait->finished) return;
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) return refuse(wait, *refused);
    const auto& released = std::get<store::Release::Result>(outcome);
    wait->result.marks = released.marks;
    if (released.released) {
      if (const auto agent = owners_.find(released.agent_id); agent != owners_.end() && agent->second->presence) {
        agent->second->presence->sessions.erase(wait->session);
      }
      wait->result.evicted = true;
      return finish(wait, ended_well(*wait));
    }
    if (released.turns_open) return finish(wait, Outcome::running);
    // A turn was completed meanwhile: that one is to be committed too.
    make_due(wait);
  });
}

void Dispatcher::finish(const std::shared_ptr<Wait>& wait, Outcome outcome) {
  WaitResult result = wait->result;
  result.outcome = outcome;
  // What was known of a wait that others may have overtaken is out of date.
  if (outcome == Outcome::timeout || outcome == Outcome::busy) result.marks.reset();
  finish(wait, std::move(result));
}

void Dispatcher::finish(const std::shared_ptr<Wait>& wait, WaitResult result) {
  if (wait->finished) return;
  const std::shared_ptr<Wait> held = wait;  // NOLINT(performance-unnecessary-copy-initialization): erased below
  held->finished = true;
  held->timer.reset();
  if (const auto waits = waits_by_client_.find(held->client); waits != waits_by_client_.end()) {
    waits->second.erase(held);
    if (waits->second.empty()) waits_by_client_.erase(waits);
  }
  SessionRecord* record = find(held->uid, held->session);
  assert(record);
  std::erase(record->waits, held);
  // Never from inside the caller's own call: it may still be busy with what led here.
  boost::asio::post(context_, [held, result = std::move(result)]() mutable { held->done(std::move(result)); });
  advance(*record);
}

}  // namespace tidemark::daemon
