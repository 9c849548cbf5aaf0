package feature

import (
	"salescast/pkg/calendar"
)

// The families of features. Families share columns: a column that two of them want is there once.
const (
	// Level is how much a series sells of late: means over several windows, exponential means, spread, share of zeros, last sales.
	Level = "level"
	// Season is the sales of the target's weekday in past weeks (daily panels only).
	Season = "season"
	// Year is the sales around the target's date in past years, as values and as ratios to the level then, of the series and the panel.
	Year = "year"
	// Trend is the recent sales of the panel, and of every key's and attribute's group, against their level.
	Trend = "trend"
	// Profile is the exponentially weighted mean of past sales in the target's phase of the season.
	Profile = "profile"
	// Analog is the mean of past sales weighted by the likeness of their covariates to the target's: prices only.
	Analog = "analog"
	// Calendar is the target's place in the year, the month and the week, and its distance to Easter.
	Calendar = "calendar"
	// Step is the row itself: horizon, scale, age of the series.
	Step = "step"
	// Identity is the codes of the keys and static attributes.
	Identity = "identity"
	// Promotion is the known-future covariates: promotions, prices, holidays of the data's own.
	Promotion = "promotion"
	// Holiday is the public holidays of the schema's country; no columns without one.
	Holiday = "holiday"
	// Lag is single past sales: Spec.Lags and one year before the target.
	Lag = "lag"
	// Rolling is Spec.Stats over Spec.Windows that end at the origin.
	Rolling = "rolling"
	// Date is the parts of the target's date.
	Date = "date"
	// Cyclical is sine and cosine of month, day of the month and weekday.
	Cyclical = "cyclical"
)

// Families returns the names of all families, in the order of their columns.
func Families() []string {
	return []string{Level, Lag, Rolling, Season, Year, Trend, Profile, Analog, Calendar, Date, Cyclical, Holiday, Step, Identity, Promotion}
}

// TrainingFamilies are the defaults of a Spec: what the forecasting members train on.
func TrainingFamilies() []string {
	return []string{Level, Season, Year, Trend, Profile, Analog, Calendar, Holiday, Step, Identity, Promotion}
}

// Spec declares features. The zero value is the default of every field.
type Spec struct {
	// Families default to TrainingFamilies.
	Families []string `json:"families,omitempty"`
	// Lags of the family lag, in steps before origin+1, so that 1 is the sale at the origin.
	// Default: 1 2 3 7 14 21 30 for days, 1 2 3 4 8 13 26 for weeks, 1 2 3 6 for months.
	Lags []int `json:"lags,omitempty"`
	// Windows of the family rolling, in steps. Default: 3 7 14 21 30 for days, 4 8 13 26 for weeks, 3 6 12 for months.
	Windows []int `json:"windows,omitempty"`
	// Stats of the family rolling, of mean, std (n-1), min, max, median. Default: all.
	Stats []string `json:"stats,omitempty"`
	// Covariates of the family promotion, read at the target. Default: every known-future covariate.
	Covariates []string `json:"covariates"`
	// Neighbours are the steps around the target at which covariates are read too. Default: -2 -1 1 2.
	Neighbours []int `json:"neighbours"`
}

// grid holds the lengths that go with a frequency, in steps.
type grid struct {
	season, year, base int
	windows            []int      // of the level means
	alphas             [2]float64 // of the exponential means
	lags               []int      // of the level
	near, panelNear    int        // half width of the window around last year's date, of a series and of the panel
	beside             bool       // last year's steps before and after the target's are features too
	covariates         int        // window of the covariates' trailing means
	profile            int        // past steps of the profile
	profileAlways      bool       // or only where prices are
	profileLevel       int        // window that the profile is compared with
	refLags, refStats  []int      // defaults of lag and rolling
}

func gridOf(f calendar.Frequency) grid {
	switch f.Unit {
	case calendar.Daily:
		return grid{
			season: 7, year: 364, base: 28, windows: []int{7, 14, 28, 56, 91, 182}, alphas: [2]float64{0.1, 0.3}, lags: []int{1, 2},
			near: 3, panelNear: 3, covariates: 56, profile: 52, profileAlways: true, profileLevel: 364,
			refLags: []int{1, 2, 3, 7, 14, 21, 30}, refStats: []int{3, 7, 14, 21, 30},
		}
	case calendar.Weekly:
		return grid{
			season: 1, year: 52, base: 8, windows: []int{2, 4, 8, 13, 26, 52}, alphas: [2]float64{0.25, 0.75}, lags: []int{1, 2, 3, 4},
			near: 1, beside: true, covariates: 52, profile: 52, profileLevel: 364,
			refLags: []int{1, 2, 3, 4, 8, 13, 26}, refStats: []int{4, 8, 13, 26},
		}
	case calendar.Quarterly:
		return grid{
			season: 1, year: 4, base: 4, windows: []int{2, 4, 8}, alphas: [2]float64{0.25, 0.6}, lags: []int{1, 2, 3},
			beside: true, covariates: 4, profile: 8, profileLevel: 16, refLags: []int{1, 2, 4}, refStats: []int{2, 4},
		}
	case calendar.Yearly:
		return grid{
			season: 1, year: 1, base: 3, windows: []int{2, 3, 5}, alphas: [2]float64{0.25, 0.6}, lags: []int{1, 2},
			covariates: 2, profile: 4, profileLevel: 8, refLags: []int{1, 2}, refStats: []int{2, 3},
		}
	case calendar.Monthly:
	}
	return grid{
		season: 1, year: 12, base: 6, windows: []int{2, 3, 6, 12, 24}, alphas: [2]float64{0.25, 0.6}, lags: []int{1, 2, 3},
		beside: true, covariates: 12, profile: 24, profileLevel: 48,
		refLags: []int{1, 2, 3, 6}, refStats: []int{3, 6, 12},
	}
}

func (s Spec) withDefaults(g grid, d Schema) Spec {
	if len(s.Families) == 0 {
		s.Families = TrainingFamilies()
	}
	if len(s.Lags) == 0 {
		s.Lags = g.refLags
	}
	if len(s.Windows) == 0 {
		s.Windows = g.refStats
	}
	if len(s.Stats) == 0 {
		s.Stats = []string{"mean", "std", "min", "max", "median"}
	}
	if s.Covariates == nil {
		s.Covariates = []string{}
		for _, c := range d.Covariates {
			if c.Known {
				s.Covariates = append(s.Covariates, c.Name)
			}
		}
	}
	if s.Neighbours == nil {
		s.Neighbours = []int{-2, -1, 1, 2}
	}
	return s
}
