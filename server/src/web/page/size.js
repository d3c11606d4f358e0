
// Bytes as text, as in the listing: rounded, below a hundred to a tenth.
const size = (bytes) => {
  if (bytes < 1000) return `${bytes} B`;
  let unit = 1;
  for (const name of ["KB", "MB", "GB", "TB", "PB"]) {
    unit *= 1000;
    const [tenths, whole] = [10, 1].map((parts) => Math.floor((bytes * parts + unit / 2) / unit));
    if (tenths < 1000) return `${(tenths / 10).toFixed(1)} ${name}`;
    if (whole < 1000) return `${whole} ${name}`;
  }
};
