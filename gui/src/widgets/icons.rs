//! The icon set: strokes and shapes on a 24 × 24 grid, painted crisp at any size and in any colour.
//!
//! Invariant: one stroke width for all; no icon is a font glyph. Icons have no behaviour; buttons made of them are in
//! [`super::controls`].

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, epaint::PathShape, pos2, vec2};

/// The icons of the program.
#[expect(missing_docs, reason = "an icon is named after what it shows")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Add,
    Back,
    Check,
    Close,
    Copy,
    Disc,
    Film,
    Folder,
    FullscreenEnter,
    FullscreenLeave,
    Grid,
    Info,
    Keyboard,
    Library,
    Link,
    List,
    Music,
    Network,
    Next,
    Pause,
    Play,
    Previous,
    Remove,
    Replay,
    Search,
    Settings,
    Shares,
    SortDown,
    SortUp,
    Terminal,
    Transfers,
    Trash,
    VolumeHigh,
    VolumeLow,
    VolumeOff,
    Warning,
}

/// One stroke or shape of an icon.
enum Part {
    /// An open line through points.
    Line(&'static [(f32, f32)]),
    /// A closed, filled convex shape with slightly rounded corners.
    Solid(&'static [(f32, f32)]),
    /// A circle's outline: centre, radius.
    Ring(f32, f32, f32),
    /// A filled circle.
    Dot(f32, f32, f32),
    /// Part of a circle: centre, radius, from and to in degrees, clockwise from three o'clock.
    Arc(f32, f32, f32, f32, f32),
    /// A rectangle's outline: left, top, width, height, corner radius.
    Frame(f32, f32, f32, f32, f32),
}

const GRID: f32 = 24.0;
const STROKE: f32 = 1.8;

/// Paints `icon` as large as `rect`.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let scale = rect.width().min(rect.height()) / GRID;
    let origin = rect.center() - vec2(GRID, GRID) * scale / 2.0;
    let at = |x: f32, y: f32| pos2(origin.x + x * scale, origin.y + y * scale);
    let stroke = Stroke::new((STROKE * scale).max(1.0), color);
    for part in parts(icon) {
        match *part {
            Part::Line(points) => {
                rounded_line(painter, points.iter().map(|&(x, y)| at(x, y)).collect(), stroke)
            }
            Part::Solid(points) => {
                let points = points.iter().map(|&(x, y)| at(x, y)).collect();
                painter.add(PathShape { points, closed: true, fill: color, stroke: stroke.into() });
            }
            Part::Ring(x, y, radius) => {
                painter.circle_stroke(at(x, y), radius * scale, stroke);
            }
            Part::Dot(x, y, radius) => {
                painter.circle_filled(at(x, y), radius * scale, color);
            }
            Part::Arc(x, y, radius, from, to) => {
                let steps = 20;
                let point = |step: i32| {
                    let angle = (from + (to - from) * step as f32 / steps as f32).to_radians();
                    at(x + radius * angle.cos(), y + radius * angle.sin())
                };
                rounded_line(painter, (0..=steps).map(point).collect(), stroke);
            }
            Part::Frame(x, y, width, height, radius) => {
                let rect = Rect::from_min_max(at(x, y), at(x + width, y + height));
                painter.rect_stroke(rect, radius * scale, stroke, StrokeKind::Middle);
            }
        }
    }
}

/// A line with round ends.
fn rounded_line(painter: &Painter, points: Vec<Pos2>, stroke: Stroke) {
    let ends = [points.first().copied(), points.last().copied()];
    painter.add(Shape::line(points, stroke));
    for end in ends.into_iter().flatten() {
        painter.circle_filled(end, stroke.width / 2.0, stroke.color);
    }
}

#[expect(clippy::too_many_lines, reason = "a table of drawings")]
fn parts(icon: Icon) -> &'static [Part] {
    use Part::{Arc, Dot, Frame, Line, Ring, Solid};
    match icon {
        Icon::Add => &[Line(&[(12.0, 5.0), (12.0, 19.0)]), Line(&[(5.0, 12.0), (19.0, 12.0)])],
        Icon::Back => &[Line(&[(14.5, 5.5), (8.0, 12.0), (14.5, 18.5)])],
        Icon::Check => &[Line(&[(5.0, 12.5), (10.0, 17.5), (19.0, 7.0)])],
        Icon::Close => &[Line(&[(6.5, 6.5), (17.5, 17.5)]), Line(&[(17.5, 6.5), (6.5, 17.5)])],
        Icon::Copy => {
            &[Frame(8.5, 8.5, 11.0, 11.0, 2.5), Line(&[(15.5, 5.0), (6.0, 5.0), (5.0, 6.0), (5.0, 15.5)])]
        }
        Icon::Disc => &[Ring(12.0, 12.0, 8.5), Ring(12.0, 12.0, 2.5)],
        Icon::Film => &[
            Frame(3.5, 5.0, 17.0, 14.0, 2.5),
            Line(&[(8.0, 5.0), (8.0, 19.0)]),
            Line(&[(16.0, 5.0), (16.0, 19.0)]),
            Line(&[(3.5, 12.0), (20.5, 12.0)]),
        ],
        Icon::Folder => &[Line(&[
            (3.5, 18.5),
            (3.5, 5.5),
            (9.0, 5.5),
            (11.2, 8.0),
            (20.5, 8.0),
            (20.5, 18.5),
            (3.5, 18.5),
        ])],
        Icon::FullscreenEnter => &[
            Line(&[(5.0, 9.5), (5.0, 5.0), (9.5, 5.0)]),
            Line(&[(14.5, 5.0), (19.0, 5.0), (19.0, 9.5)]),
            Line(&[(19.0, 14.5), (19.0, 19.0), (14.5, 19.0)]),
            Line(&[(9.5, 19.0), (5.0, 19.0), (5.0, 14.5)]),
        ],
        Icon::FullscreenLeave => &[
            Line(&[(5.0, 9.5), (9.5, 9.5), (9.5, 5.0)]),
            Line(&[(14.5, 5.0), (14.5, 9.5), (19.0, 9.5)]),
            Line(&[(19.0, 14.5), (14.5, 14.5), (14.5, 19.0)]),
            Line(&[(9.5, 19.0), (9.5, 14.5), (5.0, 14.5)]),
        ],
        Icon::Grid => &[
            Frame(4.5, 4.5, 6.0, 6.0, 1.5),
            Frame(13.5, 4.5, 6.0, 6.0, 1.5),
            Frame(4.5, 13.5, 6.0, 6.0, 1.5),
            Frame(13.5, 13.5, 6.0, 6.0, 1.5),
        ],
        Icon::Info => &[Ring(12.0, 12.0, 8.5), Line(&[(12.0, 11.2), (12.0, 16.0)]), Dot(12.0, 8.0, 1.2)],
        Icon::Keyboard => &[
            Frame(2.5, 6.0, 19.0, 12.0, 2.5),
            Dot(6.5, 10.0, 1.0),
            Dot(10.2, 10.0, 1.0),
            Dot(13.8, 10.0, 1.0),
            Dot(17.5, 10.0, 1.0),
            Line(&[(8.0, 14.2), (16.0, 14.2)]),
        ],
        Icon::Library => &[
            Line(&[(5.0, 5.0), (5.0, 19.0)]),
            Line(&[(9.5, 5.0), (9.5, 19.0)]),
            Line(&[(14.0, 5.3), (18.6, 18.7)]),
        ],
        Icon::Link => &[
            Line(&[(9.4, 14.6), (14.6, 9.4)]),
            Line(&[
                (11.2, 7.6),
                (13.4, 5.4),
                (15.6, 4.7),
                (17.8, 5.6),
                (19.0, 7.6),
                (18.6, 10.0),
                (16.4, 12.8),
            ]),
            Line(&[
                (12.8, 16.4),
                (10.6, 18.6),
                (8.4, 19.3),
                (6.2, 18.4),
                (5.0, 16.4),
                (5.4, 14.0),
                (7.6, 11.2),
            ]),
        ],
        Icon::List => &[
            Line(&[(9.0, 6.5), (19.5, 6.5)]),
            Line(&[(9.0, 12.0), (19.5, 12.0)]),
            Line(&[(9.0, 17.5), (19.5, 17.5)]),
            Dot(5.0, 6.5, 1.2),
            Dot(5.0, 12.0, 1.2),
            Dot(5.0, 17.5, 1.2),
        ],
        Icon::Music => &[
            Line(&[(9.0, 17.0), (9.0, 6.0), (18.5, 4.0), (18.5, 15.0)]),
            Ring(6.6, 17.2, 2.4),
            Ring(16.1, 15.2, 2.4),
        ],
        Icon::Network => &[
            Ring(12.0, 5.8, 2.4),
            Ring(5.5, 17.5, 2.4),
            Ring(18.5, 17.5, 2.4),
            Line(&[(10.8, 8.0), (6.8, 15.2)]),
            Line(&[(13.2, 8.0), (17.2, 15.2)]),
            Line(&[(8.2, 17.5), (15.8, 17.5)]),
        ],
        Icon::Next => &[Solid(&[(6.5, 6.5), (15.0, 12.0), (6.5, 17.5)]), Line(&[(18.0, 6.0), (18.0, 18.0)])],
        Icon::Pause => &[
            Solid(&[(7.6, 6.0), (9.4, 6.0), (9.4, 18.0), (7.6, 18.0)]),
            Solid(&[(14.6, 6.0), (16.4, 6.0), (16.4, 18.0), (14.6, 18.0)]),
        ],
        Icon::Play => &[Solid(&[(8.3, 5.6), (18.6, 12.0), (8.3, 18.4)])],
        Icon::Previous => {
            &[Solid(&[(17.5, 6.5), (17.5, 17.5), (9.0, 12.0)]), Line(&[(6.0, 6.0), (6.0, 18.0)])]
        }
        Icon::Remove => &[Line(&[(5.0, 12.0), (19.0, 12.0)])],
        Icon::Replay => &[Arc(12.0, 12.5, 7.5, -60.0, 220.0), Line(&[(16.6, 2.6), (15.9, 6.2), (19.6, 7.0)])],
        Icon::Search => &[Ring(10.8, 10.8, 6.0), Line(&[(15.4, 15.4), (19.8, 19.8)])],
        Icon::Settings => &[
            Line(&[(4.0, 7.0), (12.2, 7.0)]),
            Line(&[(17.8, 7.0), (20.0, 7.0)]),
            Ring(15.0, 7.0, 2.6),
            Line(&[(4.0, 17.0), (6.2, 17.0)]),
            Line(&[(11.8, 17.0), (20.0, 17.0)]),
            Ring(9.0, 17.0, 2.6),
        ],
        Icon::Shares => &[
            Line(&[(12.0, 15.0), (12.0, 4.5)]),
            Line(&[(7.8, 8.6), (12.0, 4.4), (16.2, 8.6)]),
            Line(&[(4.5, 14.0), (4.5, 19.5), (19.5, 19.5), (19.5, 14.0)]),
        ],
        Icon::SortDown => {
            &[Line(&[(12.0, 5.0), (12.0, 19.0)]), Line(&[(6.5, 13.5), (12.0, 19.0), (17.5, 13.5)])]
        }
        Icon::SortUp => {
            &[Line(&[(12.0, 19.0), (12.0, 5.0)]), Line(&[(6.5, 10.5), (12.0, 5.0), (17.5, 10.5)])]
        }
        Icon::Terminal => &[
            Frame(3.5, 5.0, 17.0, 14.0, 2.5),
            Line(&[(7.5, 9.5), (10.5, 12.0), (7.5, 14.5)]),
            Line(&[(12.5, 15.0), (16.0, 15.0)]),
        ],
        Icon::Transfers => &[
            Line(&[(8.0, 4.8), (8.0, 19.2)]),
            Line(&[(4.2, 15.4), (8.0, 19.2), (11.8, 15.4)]),
            Line(&[(16.0, 19.2), (16.0, 4.8)]),
            Line(&[(12.2, 8.6), (16.0, 4.8), (19.8, 8.6)]),
        ],
        Icon::Trash => &[
            Line(&[(4.5, 7.0), (19.5, 7.0)]),
            Line(&[(9.0, 7.0), (9.0, 4.5), (15.0, 4.5), (15.0, 7.0)]),
            Line(&[(6.5, 7.0), (7.4, 19.5), (16.6, 19.5), (17.5, 7.0)]),
        ],
        Icon::VolumeHigh => &[SPEAKER, Arc(12.5, 12.0, 3.6, -50.0, 50.0), Arc(12.5, 12.0, 7.4, -50.0, 50.0)],
        Icon::VolumeLow => &[SPEAKER, Arc(12.5, 12.0, 3.6, -50.0, 50.0)],
        Icon::VolumeOff => &[SPEAKER, Line(&[(15.5, 9.5), (20.5, 14.5)]), Line(&[(20.5, 9.5), (15.5, 14.5)])],
        Icon::Warning => &[
            Line(&[(12.0, 4.2), (21.0, 19.5), (3.0, 19.5), (12.0, 4.2)]),
            Line(&[(12.0, 10.0), (12.0, 14.2)]),
            Dot(12.0, 16.9, 1.1),
        ],
    }
}

const SPEAKER: Part =
    Part::Line(&[(3.8, 9.6), (6.8, 9.6), (11.0, 5.6), (11.0, 18.4), (6.8, 14.4), (3.8, 14.4), (3.8, 9.6)]);
