"""Statistics of return series: performance, intervals, significance, overfitting, effective numbers."""
