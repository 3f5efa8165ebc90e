// `swift run Demo`: loads the model, runs it once on blank inputs and says how long both took.
import CoreML
import Foundation
import __NAME__

@main
struct Demo {
    static func main() async throws {
        let begin = Date()
        let network = try await __NAME__.load()
__MAKE_STATE__        let loaded = Date()
        let output = try await network.predict(.blank()__USING__)
        let done = Date()
        print(
            "load", loaded.timeIntervalSince(begin), "s; first prediction",
            done.timeIntervalSince(loaded), "s")
        print(output)
    }
}
