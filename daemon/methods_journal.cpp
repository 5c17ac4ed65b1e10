// The journal as a whole: copies of it, and looking through one.
#include <boost/asio/post.hpp>
#include <memory>

#include "daemon/methods_detail.h"

namespace tidemark::daemon {

namespace {

// What a copy's outcome is answered with: it comes on a thread of its own.
template <class Made, class Make>
auto answer_from_thread(boost::asio::io_context& io, const std::shared_ptr<ipc::Call>& call, Make make) {
  return [&io, call, make](store::Outcome<Made> outcome) {
    boost::asio::post(io, [call, make, outcome = std::move(outcome)] {
      if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
        call->fail(error_of(*refused));
      } else {
        call->reply(make(std::get<Made>(outcome)));
      }
    });
  };
}

}  // namespace

// Goes behind all that this connection has asked for before, as the copy is to hold it.
void Methods::after_earlier_calls(ipc::Call call, std::function<void(std::shared_ptr<ipc::Call>)> then) {
  context_.ledger.submit(store::Ping{}, [call = std::make_shared<ipc::Call>(std::move(call)),
                                         then = std::move(then)](const store::Outcome<store::Nothing>& outcome) {
    if (const auto* refused = std::get_if<store::Refused>(&outcome)) {
      call->fail(error_of(*refused));
    } else {
      then(call);
    }
  });
}

void Methods::backup(const Client& client, ipc::Call call, ipc::DaemonBackupParams params) {
  if (!may_wait(client, call)) return;
  after_earlier_calls(std::move(call), [this, name = text_of(params.name)](const std::shared_ptr<ipc::Call>& waiting) {
    context_.backups.back_up(
        name, answer_from_thread<store::BackupMade>(context_.io, waiting, [](const store::BackupMade& made) {
          return ipc::DaemonBackupResult{made.path.string(), made.bytes};
        }));
  });
}

void Methods::verify(const Client& client, ipc::Call call, ipc::DaemonVerifyParams) {
  if (!may_wait(client, call)) return;
  after_earlier_calls(std::move(call), [this](const std::shared_ptr<ipc::Call>& waiting) {
    context_.backups.verify(
        answer_from_thread<store::Verified>(context_.io, waiting, [](const store::Verified& verified) {
          return ipc::DaemonVerifyResult{verified.problems.empty(), verified.problems};
        }));
  });
}

}  // namespace tidemark::daemon
