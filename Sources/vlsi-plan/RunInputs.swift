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
  init(teacher: String, student: String, samples: String) throws {
    self.teacher = try Backbone(teacher)
    self.student = try Backbone(student)
    try Self.requireFit(student: self.student, teacher: self.teacher)
    teacherSamples = try ExampleReader(
      samples: samples, config: self.teacher.config, processor: self.teacher.processor)
    studentSamples = try ExampleReader(
      samples: samples, config: self.student.config, processor: self.student.processor)
    for backbone in [self.teacher, self.student] {
      try backbone.requireSamples(studentSamples.artifact)
    }
  }

  /// One tokenizer, and images seen alike.
  ///
  /// - Throws: 65 naming both and what differs.
  static func requireFit(student: Backbone, teacher: Backbone) throws {
    try student.tokenizer.requireTeachers(
      teacher.tokenizer, of: teacher.directory, at: student.directory)
    // Both must see the same image tokens: the same patches, merged alike.
    for (what, here, there) in student.config.processorMatches(teacher.processor)
    where here != there {
      throw Failure(
        .badData, "teacher and student see images in other patches: the \(what) differs",
        at: student.directory, expected: "\(here), that of \(teacher.directory)", found: "\(there)")
    }
  }
}
