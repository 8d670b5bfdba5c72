import Artifacts
import Checkpoints
import Failures
import Training

/// Both checkpoints and the surveyed samples, opened and held against each other.
struct RunInputs {
  let teacher: Backbone
  let student: Backbone
  let teacherSamples: ExampleReader
  let studentSamples: ExampleReader

  /// - Throws: 65 or 66 for the first thing that is missing, broken or does not fit.
  /// - Parameter ownSamples: what the teacher's own processor prepared, for one of another family.
  init(teacher: String, student: String, samples: String, ownSamples: String?) throws {
    self.teacher = try Backbone(teacher)
    self.student = try Backbone(student)
    try Self.requireFit(
      student: self.student, teacher: self.teacher, ownSamples: ownSamples != nil)
    teacherSamples = try ExampleReader(
      samples: ownSamples ?? samples, config: self.teacher.config,
      processor: self.teacher.processor)
    studentSamples = try ExampleReader(
      samples: samples, config: self.student.config, processor: self.student.processor)
    try self.teacher.requireSamples(teacherSamples.artifact)
    try self.student.requireSamples(studentSamples.artifact)
  }

  /// One tokenizer, and images seen alike; with samples of the teacher's own, tokens of the same ids.
  ///
  /// - Throws: 65 naming both and what differs.
  static func requireFit(student: Backbone, teacher: Backbone, ownSamples: Bool) throws {
    if ownSamples {
      return try student.tokenizer.requireSharedIDs(
        teacher.tokenizer, of: teacher.directory, at: student.directory)
    }
    try student.tokenizer.requireTeachers(
      teacher.tokenizer, of: teacher.directory, at: student.directory)
    // Both must see the same image tokens: the same patches, merged alike.
    for (what, here, there) in student.config.processorMatches(teacher.processor)
    where here != there {
      throw Failure(
        .badData, "teacher and student see images in other patches: the \(what) differs",
        at: student.directory, expected: "\(here), that of \(teacher.directory)", found: "\(there)",
        advice: "For a teacher of another family set run.teacher_samples: own in the preset")
    }
  }
}
