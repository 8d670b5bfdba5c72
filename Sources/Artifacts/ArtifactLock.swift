import Failures
import Glibc

/// One writer at a time: an advisory lock on `.lock`, which ends with the process however it ends.
final class ArtifactLock: Sendable {
  static let fileName = ".lock"

  private let descriptor: Int32
  private let path: String

  /// Throws 73 when another program holds it or the folder cannot be written.
  init(directory: String) throws {
    let path = Files.join(directory, ArtifactLock.fileName)
    var taken: Int32?
    while taken == nil {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else {
        throw Files.uncreated(
          directory, "cannot write into the folder",
          advice: "Give an output folder that you may write to")
      }
      if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        close(descriptor)
        throw Failure(
          .cannotCreate, "another program is writing this artifact", at: directory,
          advice: "Wait until it has ended")
      }
      // The holder before us removes the file as it ends: hold only one that is still there.
      var held = stat()
      if fstat(descriptor, &held) == 0, Files.status(path)?.st_ino == held.st_ino {
        taken = descriptor
      } else {
        close(descriptor)
      }
    }
    self.descriptor = taken ?? -1
    self.path = path
  }

  deinit {
    unlink(path)
    close(descriptor)
  }
}
