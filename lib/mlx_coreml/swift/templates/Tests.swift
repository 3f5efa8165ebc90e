// The inputs and expected outputs in Resources/example.json were computed by twins' reference runtime.
import CoreML
import CoreVideo
import XCTest
import __NAME__

final class ParityTests: XCTestCase {
    func testPredictionsEqualTheStoredOnes() async throws {
        let found = Bundle.module.url(forResource: "example", withExtension: "json")
        let file = try XCTUnwrap(found)
        let example = try JSONDecoder().decode(Example.self, from: Data(contentsOf: file))
        let configuration = MLModelConfiguration()
        configuration.computeUnits = .cpuOnly
        let network = try await __NAME__.load(configuration: configuration)
__MAKE_STATE__        for step in example.steps {
            let input = __NAME__.Input(__TEST_INPUTS__)
            let output = try await network.predict(input__USING__)
__TEST_OUTPUTS__
        }
    }

    /// A picture from values by row, column and channel.
    func picture(_ entry: Example.Entry, format: OSType) throws -> CVPixelBuffer {
        let (height, width, channels) = (entry.shape[0], entry.shape[1], entry.shape[2])
        let buffer = try __NAME__.pixels(width: width, height: height, format: format)
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let base = try XCTUnwrap(CVPixelBufferGetBaseAddress(buffer)).assumingMemoryBound(to: UInt8.self)
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        for y in 0..<height {
            for x in 0..<width {
                for c in 0..<channels {
                    let value = UInt8(entry.values[(y * width + x) * channels + c])
                    // red, green, blue lie as blue, green, red, alpha
                    base[y * stride + (channels == 1 ? x : 4 * x + 2 - c)] = value
                }
                if channels == 3 { base[y * stride + 4 * x + 3] = 255 }
            }
        }
        return buffer
    }

    /// The values of a picture by row, column and channel.
    func values(_ buffer: CVPixelBuffer, channels: Int) throws -> [Double] {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let base = try XCTUnwrap(CVPixelBufferGetBaseAddress(buffer)).assumingMemoryBound(to: UInt8.self)
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        var found: [Double] = []
        for y in 0..<CVPixelBufferGetHeight(buffer) {
            for x in 0..<CVPixelBufferGetWidth(buffer) {
                for c in 0..<channels {
                    found.append(Double(base[y * stride + (channels == 1 ? x : 4 * x + 2 - c)]))
                }
            }
        }
        return found
    }
}
