// Purpose: finds the base layer of the residual at the points of a coarse grid: an average that falls off linearly to the next points.
// Inputs:  the residual.
// Outputs: a vec4<f32> a point, row by row; point (x, y) lies on the pixel (x, y) * base_step.
// Dispatch: one workgroup a point.
// Memory:  four times as many texels read as the residual has, shared by 64 invocations a point; 16 bytes written a point.
#import portrait::layout::{decode, plane_index}
#import portrait::region::Region

@group(0) @binding(0) var<uniform> region: Region;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(1) var<storage, read> residual: array<vec2<u32>>;
#else
@group(0) @binding(1) var<storage, read> residual: array<vec4<f32>>;
#endif
@group(0) @binding(2) var<storage, read_write> base_layer: array<vec4<f32>>;

const INVOCATIONS = 64u;
var<workgroup> sums: array<vec4<f32>, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) point: vec3<u32>,
    @builtin(num_workgroups) points: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let step = region.base_step;
    let center = point.xy * step;
    // The window reaches as far as to the points around, and not beyond the image.
    let low = max(center, vec2<u32>(step)) - step;
    let high = min(center + step, region.network_px - 1u);
    let size = high + 1u - min(low, high + 1u);
    var sum = vec4<f32>(0.0);
    for (var at = index; at < size.x * size.y; at += INVOCATIONS) {
        let pixel = low + vec2<u32>(at % size.x, at / size.x);
        let away = abs(vec2<f32>(pixel) - vec2<f32>(center)) / f32(step);
        let weight = max(1.0 - away.x, 0.0) * max(1.0 - away.y, 0.0);
        sum += weight * vec4<f32>(decode(residual[plane_index(0u, pixel, region.padded_px)]).rgb, 1.0);
    }
    sums[index] = sum;
    workgroupBarrier();
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        if index < half {
            sums[index] += sums[index + half];
        }
        workgroupBarrier();
    }
    if index == 0u {
        // A point beyond the image, past the last row or column, may have no pixel near it.
        let total = sums[0];
        base_layer[point.y * points.x + point.x] = select(vec4<f32>(0.0), total / total.a, total.a > 0.0);
    }
}
