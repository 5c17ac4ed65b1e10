#include "daemon/drain.h"

namespace tidemark::daemon {

namespace {

// Names in an answer: what is left can be listed with `session.list`, and an answer has to fit a frame.
constexpr std::size_t remaining_max = 1'000;

}  // namespace

Drain::Drain(boost::asio::io_context& context, store::Ledger& ledger, Dispatcher& dispatcher, Scope scope,
             std::function<void(Result)> done)
    : timer_(context), ledger_(ledger), dispatcher_(dispatcher), scope_(std::move(scope)), done_(std::move(done)) {}

void Drain::begin(boost::asio::io_context& context, store::Ledger& ledger, Dispatcher& dispatcher, Scope scope,
                  lifecycle::Milliseconds deadline, std::function<void(Result)> done) {
  const std::shared_ptr<Drain> drain(new Drain(context, ledger, dispatcher, std::move(scope), std::move(done)));
  drain->timer_.expires_after(deadline);
  drain->timer_.async_wait([drain](const boost::system::error_code& error) {
    if (error || drain->reporting_) return;
    drain->reporting_ = true;
    const auto waits = std::move(drain->waits_);
    drain->waits_.clear();
    for (const auto& wait : waits) drain->dispatcher_.finish(wait, ipc::Outcome::timeout);
    drain->report(0);
  });
  drain->begin_round();
}

void Drain::begin_round() {
  committed_before_ = result_.committed;
  reading_ = true;
  read_page(0);
}

void Drain::read_page(lifecycle::SessionId after) {
  store::DrainPage command;
  command.uid = scope_.uid;
  command.owners = scope_.owners;
  command.after = after;
  ledger_.submit(std::move(command), [self = shared_from_this()](store::Outcome<store::DrainPage::Result> outcome) {
    if (self->reporting_) return;
    if (auto* refused = std::get_if<store::Refused>(&outcome)) {
      self->result_.refused = std::move(*refused);
      self->reporting_ = true;
      self->finish();
      return;
    }
    const auto& page = std::get<store::DrainPage::Result>(outcome);
    for (const auto& [uid, session] : page.sessions) self->flush(uid, session);
    if (page.last != 0) {
      self->read_page(page.last);
      return;
    }
    self->reading_ = false;
    self->end_round_if_over();
  });
}

void Drain::flush(uid_t uid, const std::string& session) {
  auto wait = std::make_shared<Wait>();
  wait->kind = Wait::Kind::flush;
  wait->client = scope_.client;
  wait->uid = uid;
  wait->session = session;
  wait->reason = "drain";
  wait->done = [self = shared_from_this(), key = std::weak_ptr<Wait>(wait)](const WaitResult& result) {
    self->result_.committed += result.segments;
    if (self->reporting_) return;
    self->waits_.erase(key.lock());
    self->end_round_if_over();
  };
  waits_.insert(wait);
  dispatcher_.enqueue(std::move(wait), std::nullopt);
}

void Drain::end_round_if_over() {
  if (reading_ || !waits_.empty() || reporting_) return;
  if (result_.committed > committed_before_ && dispatcher_.connected(scope_.client)) {
    begin_round();
    return;
  }
  reporting_ = true;
  timer_.cancel();
  report(0);
}

void Drain::report(lifecycle::SessionId after) {
  store::DrainPage command;
  command.uid = scope_.uid;
  command.owners = scope_.owners;
  command.after = after;
  ledger_.submit(std::move(command), [self = shared_from_this()](store::Outcome<store::DrainPage::Result> outcome) {
    if (auto* refused = std::get_if<store::Refused>(&outcome)) {
      self->result_.refused = std::move(*refused);
      self->finish();
      return;
    }
    const auto& page = std::get<store::DrainPage::Result>(outcome);
    for (const auto& [uid, session] : page.sessions) {
      if (self->result_.remaining.size() < remaining_max) self->result_.remaining.push_back(session);
    }
    if (page.last != 0 && self->result_.remaining.size() < remaining_max) {
      self->report(page.last);
    } else {
      self->finish();
    }
  });
}

void Drain::finish() {
  timer_.cancel();
  done_(std::move(result_));
}

}  // namespace tidemark::daemon
