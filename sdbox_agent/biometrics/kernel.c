/*
 * The three inner loops of a comparison, where array arithmetic costs more in
 * overhead than in numbers: greedy assignment, relaxation, registration.
 *
 * Called by kernel.py alone, which says what every argument is. Holds no state,
 * allocates nothing, knows no file format. Everything it is given has been
 * bounded there: at most MAX minutiae a side, finite numbers, indices in range.
 * Every number that decides is in parameters.py and comes in as an argument.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define API __attribute__((visibility("default")))

enum {
	ABI = 3, /* raised with every change of a function's arguments */
	MAX = 128, /* minutiae of a print */
	MAX_PROPOSALS = 64,
};

struct points {
	const double *xy; /* (n, 2), y up */
	const double *angle; /* (n,) */
	const double *worth; /* (n,), how much each counts; 1 on average */
	const double *hull; /* (corners, 2), counter-clockwise */
	int64_t n, corners;
};

struct stage { /* tolerances of one round of registration */
	double sigma_px, sigma_rad;
};

struct bending { /* of the skin, after registration */
	double reach_px; /* how far a pair's displacement carries */
	double stiffness; /* pairs' worth of no displacement at all */
	struct stage stage; /* tolerances once bent */
	int64_t rounds;
};

struct motion {
	double angle, x, y; /* probe to reference: turned, then moved */
};

struct meeting {
	double count;
	double weight[MAX]; /* of each probe minutia with its partner, 0: none */
	int32_t partner[MAX];
};

struct registration {
	struct motion motion;
	double paired, probe_overlap, reference_overlap; /* in worth */
};

API int64_t sdbox_abi(void)
{
	return ABI;
}

API int64_t sdbox_most(void)
{
	return MAX;
}

/* A difference of directions, brought to [-pi, pi); given within a few turns. */
static double wrapped(double angle)
{
	while (angle >= M_PI)
		angle -= 2 * M_PI;
	while (angle < -M_PI)
		angle += 2 * M_PI;
	return angle;
}

/* -- assignment ------------------------------------------------------------ */

static int64_t best_free(const double *row, int64_t columns, const uint8_t *taken)
{
	int64_t best = -1;

	for (int64_t j = 0; j < columns; j++)
		if (!taken[j] && row[j] > 0 && (best < 0 || row[j] > row[best]))
			best = j;
	return best;
}

/* Strongest first, each row and column once, none of strength 0; how many pairs. */
API int64_t sdbox_assign(const double *strength, int64_t rows, int64_t columns,
			 int64_t *row_of, int64_t *column_of)
{
	uint8_t taken[MAX] = {0}, done[MAX] = {0};
	int64_t best[MAX];
	int64_t pairs = 0;

	for (int64_t i = 0; i < rows; i++)
		best[i] = best_free(strength + i * columns, columns, taken);
	for (;;) {
		int64_t row = -1;

		for (int64_t i = 0; i < rows; i++) {
			if (done[i] || best[i] < 0)
				continue;
			if (row < 0 ||
			    strength[i * columns + best[i]] > strength[row * columns + best[row]])
				row = i;
		}
		if (row < 0)
			return pairs;
		row_of[pairs] = row;
		column_of[pairs++] = best[row];
		done[row] = taken[best[row]] = 1;
		for (int64_t i = 0; i < rows; i++)
			if (!done[i] && best[i] == best[row])
				best[i] = best_free(strength + i * columns, columns, taken);
	}
}

/* -- relaxation ------------------------------------------------------------ */

static double sigmoid(double value, const double *centre_and_slope)
{
	double exponent = -centre_and_slope[1] * (value - centre_and_slope[0]);

	return exponent > 28 ? 0 : 1 / (1 + exp(exponent)); /* e^-28: nothing */
}

static double distance(const double *a, const double *b)
{
	return sqrt((b[0] - a[0]) * (b[0] - a[0]) + (b[1] - a[1]) * (b[1] - a[1]));
}

static double radial(const struct points *p, int64_t from, int64_t to)
{
	const double *a = p->xy + 2 * from, *b = p->xy + 2 * to;

	return p->angle[from] - atan2(b[1] - a[1], b[0] - a[0]);
}

/*
 * Support of pair j for pair i: 1 where both prints agree how they lie to one
 * another. Too far a difference of distance already decides: then the rest,
 * which costs an arc tangent each, is left out.
 */
static void supports(const struct points *probe, const struct points *reference,
		     const int64_t *a, const int64_t *b, int64_t n,
		     const double *sigmoids, double support[MAX][MAX])
{
	for (int64_t i = 0; i < n; i++) {
		support[i][i] = 0;
		for (int64_t j = 0; j < i; j++) {
			double there = distance(probe->xy + 2 * a[i], probe->xy + 2 * a[j]);
			double here = distance(reference->xy + 2 * b[i], reference->xy + 2 * b[j]);
			double common = sigmoid(fabs(there - here), sigmoids);
			double turn;

			support[i][j] = support[j][i] = 0;
			if (common < 1e-12)
				continue;
			turn = (probe->angle[a[i]] - probe->angle[a[j]]) -
			       (reference->angle[b[i]] - reference->angle[b[j]]);
			common *= sigmoid(fabs(wrapped(turn)), sigmoids + 2);
			if (common < 1e-12)
				continue;
			support[i][j] = common * sigmoid(fabs(wrapped(radial(probe, a[i], a[j]) -
				radial(reference, b[i], b[j]))), sigmoids + 4);
			support[j][i] = common * sigmoid(fabs(wrapped(radial(probe, a[j], a[i]) -
				radial(reference, b[j], b[i]))), sigmoids + 4);
		}
	}
}

API void sdbox_relax(const struct points *probe, const struct points *reference,
		     const int64_t *a, const int64_t *b, int64_t n,
		     const double *sigmoids, double weight, int64_t rounds,
		     double *strength)
{
	double support[MAX][MAX], next[MAX];

	supports(probe, reference, a, b, n, sigmoids, support);
	for (int64_t round = 0; round < rounds; round++) {
		for (int64_t i = 0; i < n; i++) {
			double sum = 0;

			for (int64_t j = 0; j < n; j++)
				sum += support[i][j] * strength[j];
			next[i] = weight * strength[i] + (1 - weight) * sum / (double)(n - 1);
		}
		for (int64_t i = 0; i < n; i++)
			strength[i] = next[i];
	}
}

/* -- registration ---------------------------------------------------------- */

static void turn_by(double cos_, double sin_, const double *xy, double *out)
{
	out[0] = xy[0] * cos_ - xy[1] * sin_;
	out[1] = xy[0] * sin_ + xy[1] * cos_;
}

static struct motion proposed(const struct points *probe, const struct points *reference,
			      int64_t a, int64_t b)
{
	double angle = wrapped(reference->angle[b] - probe->angle[a]), turned[2];

	turn_by(cos(angle), sin(angle), probe->xy + 2 * a, turned);
	return (struct motion){angle, reference->xy[2 * b] - turned[0],
			       reference->xy[2 * b + 1] - turned[1]};
}

/* Where a motion brings the probe's minutiae. */
static void place(const struct motion *motion, const struct points *probe, double at[MAX][2])
{
	double cos_ = cos(motion->angle), sin_ = sin(motion->angle);

	for (int64_t i = 0; i < probe->n; i++) {
		turn_by(cos_, sin_, probe->xy + 2 * i, at[i]);
		at[i][0] += motion->x;
		at[i][1] += motion->y;
	}
}

/*
 * Mutually nearest minutiae of a probe brought `at` these places and turned, weighted by a
 * Gaussian of the stage's tolerances. Nearest is least exponent, below that of the `faintest`:
 * the exponential itself is for those who met.
 */
static void meet(double at[MAX][2], double turned, const struct points *probe,
		 const struct points *reference, const struct stage *stage,
		 double faintest, struct meeting *met)
{
	double per_px = 1 / (2 * stage->sigma_px * stage->sigma_px);
	double per_rad = 1 / (2 * stage->sigma_rad * stage->sigma_rad);
	double least[MAX], least_back[MAX];
	int32_t back[MAX];

	for (int64_t j = 0; j < reference->n; j++) {
		least_back[j] = faintest;
		back[j] = -1;
	}
	for (int64_t i = 0; i < probe->n; i++) {
		least[i] = faintest;
		met->partner[i] = 0;
		for (int64_t j = 0; j < reference->n; j++) {
			double dx = at[i][0] - reference->xy[2 * j];
			double dy = at[i][1] - reference->xy[2 * j + 1];
			double cost = (dx * dx + dy * dy) * per_px, turn;

			if (cost >= least[i] && cost >= least_back[j])
				continue;
			turn = wrapped(probe->angle[i] + turned - reference->angle[j]);
			cost += turn * turn * per_rad;
			if (cost < least[i]) {
				least[i] = cost;
				met->partner[i] = (int32_t)j;
			}
			if (cost < least_back[j]) {
				least_back[j] = cost;
				back[j] = (int32_t)i;
			}
		}
	}
	met->count = 0;
	for (int64_t i = 0; i < probe->n; i++) {
		met->weight[i] = back[met->partner[i]] == i ? exp(-least[i]) : 0;
		met->count += met->weight[i];
	}
}

/* Weighted least squares in the plane; a motion under which nothing meets stays as it is. */
static void refine(struct motion *motion, const struct meeting *met,
		   const struct points *probe, const struct points *reference,
		   double nothing)
{
	double middle[2] = {0, 0}, target[2] = {0, 0}, dot = 0, cross = 0, turned[2];

	if (met->count <= nothing)
		return;
	for (int64_t i = 0; i < probe->n; i++) {
		double share = met->weight[i] / met->count;

		for (int axis = 0; axis < 2; axis++) {
			middle[axis] += share * probe->xy[2 * i + axis];
			target[axis] += share * reference->xy[2 * met->partner[i] + axis];
		}
	}
	for (int64_t i = 0; i < probe->n; i++) {
		double share = met->weight[i] / met->count;
		double ax = probe->xy[2 * i] - middle[0], ay = probe->xy[2 * i + 1] - middle[1];
		double bx = reference->xy[2 * met->partner[i]] - target[0];
		double by = reference->xy[2 * met->partner[i] + 1] - target[1];

		dot += share * (ax * bx + ay * by);
		cross += share * (ax * by - ay * bx);
	}
	motion->angle = atan2(cross, dot);
	turn_by(cos(motion->angle), sin(motion->angle), middle, turned);
	motion->x = target[0] - turned[0];
	motion->y = target[1] - turned[1];
}

/* In the hull, or no farther from it than the margin. */
static int near_hull(const double *hull, int64_t corners, const double *at, double margin)
{
	int inside = corners > 2;
	double best2 = INFINITY;

	for (int64_t k = 0; k < corners; k++) {
		const double *from = hull + 2 * k, *to = hull + 2 * ((k + 1) % corners);
		double dx = to[0] - from[0], dy = to[1] - from[1];
		double ax = at[0] - from[0], ay = at[1] - from[1];
		double along = (ax * dx + ay * dy) / fmax(dx * dx + dy * dy, 1e-12);
		double rx, ry;

		inside &= dx * ay - dy * ax >= 0;
		along = fmin(fmax(along, 0), 1);
		rx = ax - along * dx;
		ry = ay - along * dy;
		best2 = fmin(best2, rx * rx + ry * ry);
	}
	return inside || best2 <= margin * margin;
}

/* What the minutiae brought `at` these places are worth that lie in the other's hull. */
static double overlap(const struct points *points, double at[MAX][2],
		      const struct points *other, double margin)
{
	double worth = 0;

	for (int64_t i = 0; i < points->n; i++)
		if (near_hull(other->hull, other->corners, at[i], margin))
			worth += points->worth[i];
	return worth;
}

/* The opposite motion: reference to probe. */
static struct motion undone(const struct motion *motion)
{
	double back[2], there[2] = {motion->x, motion->y};

	turn_by(cos(motion->angle), -sin(motion->angle), there, back);
	return (struct motion){-motion->angle, -back[0], -back[1]};
}

/*
 * Skin stretches, and does so smoothly: each minutia goes along with the pairs around it,
 * the nearer the more, held back by the skin's stiffness.
 */
static void bend(double rigid[MAX][2], const struct meeting *met, const struct points *probe,
		 const struct points *reference, const struct bending *bending,
		 double at[MAX][2])
{
	double per_px = 1 / (2 * bending->reach_px * bending->reach_px);

	for (int64_t i = 0; i < probe->n; i++) {
		double pull = bending->stiffness, x = 0, y = 0;

		for (int64_t j = 0; j < probe->n; j++) {
			const double *target = reference->xy + 2 * met->partner[j];
			double dx = rigid[i][0] - rigid[j][0], dy = rigid[i][1] - rigid[j][1];
			double weight;

			if (met->weight[j] <= 0)
				continue;
			weight = met->weight[j] * exp(-(dx * dx + dy * dy) * per_px);
			pull += weight;
			x += weight * (target[0] - rigid[j][0]);
			y += weight * (target[1] - rigid[j][1]);
		}
		at[i][0] = rigid[i][0] + x / pull;
		at[i][1] = rigid[i][1] + y / pull;
	}
}

/* The place of the largest count; of equals, the first. */
static int64_t most(const struct meeting *met, int64_t n, const uint8_t *used)
{
	int64_t best = -1;

	for (int64_t i = 0; i < n; i++)
		if (!used[i] && (best < 0 || met[i].count > met[best].count))
			best = i;
	return best;
}

/*
 * The motion under which most meets. From proposals (a, b), best first: meet, keep the best
 * `refined`, refine, meet again, a stage at a time.
 */
static struct motion rigid_motion(const struct points *probe, const struct points *reference,
				  const int64_t *a, const int64_t *b, int64_t proposals,
				  const struct stage *stages, int64_t stages_n, int64_t refined,
				  double nothing, double faintest, struct meeting *meeting)
{
	const uint8_t none[MAX_PROPOSALS] = {0};
	struct motion motion[MAX_PROPOSALS], kept[MAX_PROPOSALS];
	struct meeting met[MAX_PROPOSALS];
	double at[MAX][2];
	int64_t n = proposals, best;

	for (int64_t h = 0; h < n; h++) {
		motion[h] = proposed(probe, reference, a[h], b[h]);
		place(&motion[h], probe, at);
		meet(at, motion[h].angle, probe, reference, &stages[0], faintest,
		     &met[h]);
	}
	for (int64_t stage = 1; stage < stages_n; stage++) {
		uint8_t used[MAX_PROPOSALS] = {0};
		int64_t keep = n < refined ? n : refined;

		for (int64_t h = 0; h < keep; h++) {
			best = most(met, n, used);
			used[best] = 1;
			kept[h] = motion[best];
			refine(&kept[h], &met[best], probe, reference, nothing);
		}
		for (int64_t h = 0; h < keep; h++) {
			motion[h] = kept[h];
			place(&motion[h], probe, at);
			meet(at, motion[h].angle, probe, reference, &stages[stage],
			     faintest, &met[h]);
		}
		n = keep;
	}
	best = most(met, n, none);
	*meeting = met[best];
	return motion[best];
}

/*
 * Lays the probe on the reference, bends it, and says what meets: `weight` and `partner`
 * (probe,) say who met whom.
 */
API void sdbox_register(const struct points *probe, const struct points *reference,
			const int64_t *a, const int64_t *b, int64_t proposals,
			const struct stage *stages, int64_t stages_n, int64_t refined,
			double nothing, double faintest, double margin,
			const struct bending *bending,
			struct registration *out, double *weight, int64_t *partner)
{
	double rigid[MAX][2], at[MAX][2], back[MAX][2];
	struct motion undo;
	struct meeting met;

	out->motion = rigid_motion(probe, reference, a, b, proposals, stages, stages_n, refined,
				   nothing, faintest, &met);
	undo = undone(&out->motion);
	place(&out->motion, probe, rigid);
	place(&undo, reference, back);
	out->probe_overlap = overlap(probe, rigid, reference, margin);
	out->reference_overlap = overlap(reference, back, probe, margin);
	for (int64_t round = 0; round < bending->rounds; round++) {
		bend(rigid, &met, probe, reference, bending, at);
		meet(at, out->motion.angle, probe, reference, &bending->stage, faintest,
		     &met);
	}
	out->paired = 0;
	for (int64_t i = 0; i < probe->n; i++) {
		weight[i] = met.weight[i];
		partner[i] = met.partner[i];
		out->paired += weight[i] * sqrt(probe->worth[i] * reference->worth[partner[i]]);
	}
}
