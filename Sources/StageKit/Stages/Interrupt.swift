import Failures
import Foundation
import Synchronization

/// SIGINT and SIGTERM as a flag that the stage looks at between two units of work. A second
/// signal ends the process at once: finished shards stay, the one in the making is discarded.
enum Interrupt {
  private static let received = Atomic<Bool>(false)

  static var isPending: Bool { received.load(ordering: .relaxed) }

  static func listen() {
    // Initialised before a handler can run: the first use of a global takes a lock.
    _ = received.load(ordering: .relaxed)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        if Interrupt.received.exchange(true, ordering: .relaxed) {
          _exit(ExitCode.interrupted.rawValue)
        }
      }
    }
    // A parent that blocks signals, as thread pools do, hands its mask down.
    var mask = sigset_t()
    sigemptyset(&mask)
    sigaddset(&mask, SIGINT)
    sigaddset(&mask, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &mask, nil)
  }
}
