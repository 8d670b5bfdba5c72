import Failures
import Foundation
import Synchronization

/// SIGINT, SIGTERM and SIGHUP as a flag that the stage looks at between two units of work. A second
/// signal ends the process at once: finished shards stay, the one in the making is discarded.
enum Interrupt {
  private static let received = Atomic<Bool>(false)

  static var isPending: Bool { received.load(ordering: .relaxed) }

  /// - Parameter isLaunched: whether this is one of several ranks: mpirun passes SIGUSR1 on to them, and
  ///   of SIGTERM it makes their end
  static func listen(isLaunched: Bool = false) {
    // Initialised before a handler can run: the first use of a global takes a lock.
    _ = received.load(ordering: .relaxed)
    // nohup asks to outlive the terminal.
    let hangUp = signal(SIGHUP, SIG_IGN)
    let ignored = hangUp.map { unsafeBitCast($0, to: Int.self) } == 1
    let signals =
      [SIGINT, SIGTERM] + (ignored ? [] : [SIGHUP]) + (isLaunched ? [SIGUSR1] : [])
    for number in signals {
      signal(number) { number in
        // Of a terminal that closes, kernel and shell both tell: its second word is no haste.
        if Interrupt.received.exchange(true, ordering: .relaxed), number != SIGHUP {
          _exit(ExitCode.interrupted.rawValue)
        }
      }
    }
    // A parent that blocks signals, as thread pools do, hands its mask down.
    var mask = sigset_t()
    sigemptyset(&mask)
    for number in signals { sigaddset(&mask, number) }
    pthread_sigmask(SIG_UNBLOCK, &mask, nil)
  }

  /// A write beyond `ulimit -f`, or to a pipe that nobody reads any more, is an error with a message
  /// like any other, not a signal that ends the process without a word.
  static func ignoreFailingWrites() {
    signal(SIGXFSZ, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
  }
}
