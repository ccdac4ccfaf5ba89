//! The time that a stretch of commands takes on the GPU: two time stamps, read a few frames later, when they have arrived by themselves.
//! Nothing waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages, CommandEncoder, MapMode, WgpuFeatures};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use wgpu::{QuerySetDescriptor, QueryType};

/// Number of measurements that can be on their way. A frame that finds none free is not measured.
const READINGS: usize = 4;
/// Size of two 64-bit stamps.
const STAMPS_BYTES: u64 = 16;

/// A command encoder with a query set: Bevy does not export the type of the latter.
type Record<T> = Box<dyn Fn(&mut CommandEncoder, T) + Send + Sync>;

/// Measures one stretch of commands a frame; `T` comes back with the milliseconds.
pub(crate) struct GpuTimer<T> {
    stamp: Record<u32>,
    /// Copies both stamps into a buffer.
    resolve: Record<Buffer>,
    resolved: Buffer,
    readings: [Reading<T>; READINGS],
    ms_per_tick: f64,
}

struct Reading<T> {
    buffer: Buffer,
    state: Arc<AtomicU8>,
    label: Option<T>,
}

/// The reading is not in use.
const FREE: u8 = 0;
/// The reading is to be recorded in this frame.
const CLAIMED: u8 = 1;
/// The reading is recorded and has not arrived yet.
const UNDER_WAY: u8 = 2;
/// The reading is mapped.
const ARRIVED: u8 = 3;

impl<T: Copy> GpuTimer<T> {
    /// Returns whether a device has time stamps between passes. They are not used on macOS, where they make the picture flicker (Bevy issue
    /// 22257).
    pub fn is_supported(device: &RenderDevice) -> bool {
        let needed = WgpuFeatures::TIMESTAMP_QUERY | WgpuFeatures::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        device.features().contains(needed) && !cfg!(target_os = "macos")
    }

    /// Makes a timer on a device that [supports](Self::is_supported) it.
    pub fn new(device: &RenderDevice, queue: &RenderQueue) -> Self {
        let queries = device.wgpu_device().create_query_set(&QuerySetDescriptor {
            label: Some("portrait time stamps"),
            ty: QueryType::Timestamp,
            count: 2,
        });
        let queries = Arc::new(queries);
        let buffer = |usage| {
            device.create_buffer(&BufferDescriptor {
                label: Some("portrait time stamps"),
                size: STAMPS_BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        let stamped = queries.clone();
        Self {
            stamp: Box::new(move |encoder, index| encoder.write_timestamp(&stamped, index)),
            resolve: Box::new(move |encoder, to| encoder.resolve_query_set(&queries, 0..2, &to, 0)),
            resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
            readings: std::array::from_fn(|_| Reading {
                buffer: buffer(BufferUsages::COPY_DST | BufferUsages::MAP_READ),
                state: Arc::new(AtomicU8::new(FREE)),
                label: None,
            }),
            ms_per_tick: f64::from(queue.get_timestamp_period()) * 1e-6,
        }
    }

    /// Returns the measurements that have arrived since the last call. Readings that were claimed and not recorded are free again.
    pub fn arrived(&mut self) -> impl Iterator<Item = (T, f32)> {
        let ms_per_tick = self.ms_per_tick;
        self.readings.iter_mut().filter_map(move |reading| {
            let state = reading.state.load(Ordering::Acquire);
            if state == CLAIMED {
                reading.state.store(FREE, Ordering::Release);
            }
            if state != ARRIVED {
                return None;
            }
            let stamps: [u64; 2] = bytemuck::pod_read_unaligned(&reading.buffer.slice(..).get_mapped_range());
            reading.buffer.unmap();
            reading.state.store(FREE, Ordering::Release);
            // Clocks of some GPUs start again now and then.
            let ticks = stamps[1].checked_sub(stamps[0])?;
            Some((reading.label?, (ticks as f64 * ms_per_tick) as f32))
        })
    }

    /// Claims a reading for this frame, if one is free. The number is for [`end`](Self::end).
    pub fn claim(&mut self, label: T) -> Option<usize> {
        let at = self.readings.iter().position(|reading| reading.state.load(Ordering::Acquire) == FREE)?;
        self.readings[at].label = Some(label);
        self.readings[at].state.store(CLAIMED, Ordering::Release);
        Some(at)
    }

    /// Records the beginning of the stretch.
    pub fn begin(&self, encoder: &mut CommandEncoder) {
        (self.stamp)(encoder, 0);
    }

    /// Records the end of the stretch.
    pub fn end(&self, encoder: &mut CommandEncoder, claimed: usize) {
        let Some(reading) = self.readings.get(claimed) else { return };
        (self.stamp)(encoder, 1);
        (self.resolve)(encoder, self.resolved.clone());
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &reading.buffer, 0, STAMPS_BYTES);
        let state = reading.state.clone();
        state.store(UNDER_WAY, Ordering::Release);
        encoder.map_buffer_on_submit(&reading.buffer, MapMode::Read, .., move |result| {
            state.store(if result.is_ok() { ARRIVED } else { FREE }, Ordering::Release);
        });
    }
}
