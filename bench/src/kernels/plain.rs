//! The plain loops that the kernels are measured against.

pub(super) fn ema(average: &mut [f64], x: &[f64], alpha: f64) {
    for (average, x) in average.iter_mut().zip(x) {
        *average += alpha * (x - *average);
    }
}

pub(super) fn ema_held(average: &mut [f64], x: &[f64], alpha: &[f64]) {
    for ((average, x), alpha) in average.iter_mut().zip(x).zip(alpha) {
        if *alpha != 0.0 {
            *average += alpha * (x - *average);
        }
    }
}

pub(super) fn quadratic(rows: &[Vec<f64>], w: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (row, wi) in rows.iter().zip(w) {
        for (m, wj) in row.iter().zip(w) {
            sum += wi * m * wj;
        }
    }
    sum
}

pub(super) fn mat_vec(out: &mut [f64], rows: &[Vec<f64>], x: &[f64]) {
    for (out, row) in out.iter_mut().zip(rows) {
        *out = dot(row, x);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn centred(series: &[f64]) -> Vec<f64> {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    series.iter().map(|x| x - mean).collect()
}

/// Products of all pairs of rows, each pair once.
fn pairs(rows: &[Vec<f64>], scale: f64) -> Vec<Vec<f64>> {
    let mut out = vec![vec![0.0; rows.len()]; rows.len()];
    for i in 0..rows.len() {
        for j in i..rows.len() {
            out[i][j] = scale * dot(&rows[i], &rows[j]);
            out[j][i] = out[i][j];
        }
    }
    out
}

pub(super) fn covariance(series: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = series.iter().map(|s| centred(s)).collect();
    pairs(&rows, 1.0 / series[0].len() as f64)
}

pub(super) fn correlation(series: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let standard = |series: &Vec<f64>| -> Vec<f64> {
        let centred = centred(series);
        let root = dot(&centred, &centred).sqrt();
        centred.iter().map(|c| if root > 0.0 { c / root } else { 0.0 }).collect()
    };
    pairs(&series.iter().map(standard).collect::<Vec<_>>(), 1.0)
}

pub(super) fn rank1(rows: &mut [Vec<f64>], x: &[f64], keep: f64) {
    for (row, xi) in rows.iter_mut().zip(x) {
        for (m, xj) in row.iter_mut().zip(x) {
            *m = keep * *m + (1.0 - keep) * xi * xj;
        }
    }
}

pub(super) fn shortfall(series: &[Vec<f64>], w: &[f64]) -> f64 {
    let samples = series[0].len();
    let pnl = |s: usize| series.iter().zip(w).map(|(series, w)| series[s] * w).sum();
    let mut pnl: Vec<f64> = (0..samples).map(pnl).collect();
    pnl.sort_by(f64::total_cmp);
    let (weight, whole) = (0.01 * samples as f64, samples / 100);
    (pnl[..whole].iter().sum::<f64>() + (weight - whole as f64) * pnl[whole]) / weight
}
