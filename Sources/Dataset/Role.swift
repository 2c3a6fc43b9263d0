import Tensors

/// What an image of a user's own data is for.
enum Role: String {
  case train, query, gallery
  case both = "query and gallery"
  /// For test, as a query or in the gallery.
  case test
  /// Nothing is said.
  case any = "the same split"

  /// Training, queries and gallery, each in the order of `samples`; `split` decides what `roles` leave open.
  static func divide(_ samples: [Sample], _ roles: [Role], _ split: RandomSplit) -> (
    train: [Sample], query: [Sample], gallery: [Sample]
  ) {
    let training = split.training(of: Set(samples.indices.filter { roles[$0] == .any }.map { samples[$0].identity }))
    var roles = roles
    for index in samples.indices where roles[index] == .any {
      roles[index] = training.contains(samples[index].identity) ? .train : .test
    }
    let test = samples.indices.filter { roles[$0] == .test }
    let queries = split.queries(of: test.map { samples[$0] })
    for (place, index) in test.enumerated() { roles[index] = queries.contains(place) ? .query : .gallery }
    func chosen(_ wanted: Role...) -> [Sample] {
      samples.indices.filter { wanted.contains(roles[$0]) }.map { samples[$0] }
    }
    return (chosen(.train), chosen(.query, .both), chosen(.gallery, .both))
  }
}
